"""Recordings that lie in a bucket already."""

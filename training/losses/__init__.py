"""Losses of a waveform estimate, one formula a module, and their weighted sum."""

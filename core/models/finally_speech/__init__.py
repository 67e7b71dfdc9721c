"""FINALLY (Babaev et al., NeurIPS 2024): speech enhancement by a generator that hears WavLM features, 16 or 48 kHz out.

Written from a specification of its layers; the published code has no licence, and nothing of it is used here.
"""

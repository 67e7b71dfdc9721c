"""Training of generators of speech: heavily degraded recordings in, studio-like speech out, at 16 or 48 kHz."""

"""Recordings made in memory: seeded noise and tones in the formats that clients send."""

from __future__ import annotations

import io

import av
import numpy as np
import soundfile
from numpy.typing import NDArray


def noise(seconds: float, sample_rate: int, channels: int = 1) -> NDArray[np.float32]:
    """Seeded white noise, (T, C), at -20 dBFS."""
    shape = (round(seconds * sample_rate), channels)
    return (0.1 * np.random.default_rng(7).standard_normal(shape)).astype(np.float32)


def wav(seconds: float = 0.5, sample_rate: int = 16_000, channels: int = 1, *, subtype: str = "PCM_16") -> bytes:
    """A WAV file of noise."""
    return encode(noise(seconds, sample_rate, channels), sample_rate, format="WAV", subtype=subtype)


def encode(samples: NDArray[np.float32], sample_rate: int, *, format: str, subtype: str | None = None) -> bytes:
    """`samples` (T, C) in a format that libsndfile writes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format=format, subtype=subtype)
    return buffer.getvalue()


def m4a(seconds: float = 1.0, sample_rate: int = 48_000) -> bytes:
    """An M4A (AAC) file of noise. Its index lies at the end, so that a truncated copy has none."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=sample_rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(noise(seconds, sample_rate).T.copy(), format="fltp", layout="mono")
        frame.sample_rate = sample_rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()

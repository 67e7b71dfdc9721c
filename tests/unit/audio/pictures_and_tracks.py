"""Pictures and files of several sound tracks, made in memory."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from core.audio.cover import Cover

WIDTH, HEIGHT = 64, 48


def make_cover(codec: str = "mjpeg") -> Cover:
    """A picture of seeded noise, WIDTH x HEIGHT; `codec` "mjpeg" or "png"."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.time_base = WIDTH, HEIGHT, Fraction(1, 25)
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
    pixels = np.random.default_rng(5).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=context.pix_fmt)
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
    return Cover(codec=codec, data=data, width=WIDTH, height=HEIGHT)


def write_tracks(path: Path, tones_hz: list[float], *, sample_rate: int = 48_000, seconds: float = 1.0) -> Path:
    """A Matroska or MP4 file (by its name) with one mono FLAC track for each tone, each track titled by its number."""
    time_s = np.arange(round(seconds * sample_rate)) / sample_rate
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("flac", rate=sample_rate, layout="mono") for _ in tones_hz]
        for number, stream in enumerate(streams, start=1):
            stream.metadata["title"] = f"track {number}"
        for stream, tone_hz in zip(streams, tones_hz, strict=True):
            samples = (16_000 * np.sin(2 * np.pi * tone_hz * time_s)).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = sample_rate, 0
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)
    return path

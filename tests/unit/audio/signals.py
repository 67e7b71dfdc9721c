"""Signals and files that the audio tests share; every file is made on the spot."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import av
import numpy as np
from scipy.signal import correlate

from core.audio.decode import AudioReader
from core.audio.encode import AudioWriter
from core.audio.types import FloatArray


@cache
def band_limited_noise(frames: int, sample_rate: int, *, channels: int = 1) -> FloatArray:
    """Return noise (C, T) below 3 kHz at -20 dBFS RMS: every lossy codec keeps it, its autocorrelation is sharp.

    The array is shared between tests, and read-only.
    """
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((channels, frames)))
    spectrum[:, np.fft.rfftfreq(frames, 1 / sample_rate) > 3_000] = 0
    wav = np.fft.irfft(spectrum, frames)
    noise = (0.1 * wav / wav.std()).astype(np.float32)
    noise.flags.writeable = False
    return noise


def read_all(path: Path, *, block_frames: int = 65_536) -> FloatArray:
    with AudioReader(path, block_frames=block_frames) as reader:
        return np.concatenate(list(reader.blocks()), axis=-1)


def write_file(path: Path, wav: FloatArray, *, sample_rate: int = 16_000, subtype: str = "PCM_16") -> Path:
    """Write `wav` (C, T) in the format that the path's ending names."""
    format = path.suffix[1:]
    with AudioWriter(path, format, sample_rate=sample_rate, channels=wav.shape[0], subtype=subtype) as writer:
        writer.write(wav)
    return path


def encode_with_ffmpeg(
    path: Path, wav: FloatArray, *, muxer: str, codec: str, sample_rate: int, layout: str, options: dict[str, str]
) -> Path:
    """Write a file as other programs do: the muxer's own defaults, `options` on top."""
    with av.open(str(path), "w", format=muxer, options=options) as container:
        stream = container.add_stream(codec, rate=sample_rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wav.T).reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = sample_rate
        frame.pts = 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def delay_samples(late: FloatArray, early: FloatArray) -> int:
    """Return by how many samples the first channel of `late` follows that of `early`."""
    frames = min(late.shape[-1], early.shape[-1])
    return int(np.argmax(correlate(late[0, :frames], early[0, :frames]))) - (frames - 1)

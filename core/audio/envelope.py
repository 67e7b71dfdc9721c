"""The outline of a waveform: the smallest, largest and mean level of each stretch, at any length in constant memory."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.audio.types import FloatArray

POINTS = 2000
"""At most; enough for a picture on a wide screen."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Extremes and RMS (N,) of every `samples_per_point` samples over all channels; the last point has what is left."""

    sample_rate: int
    samples_per_point: int
    frames: int  # length of the recording
    low: FloatArray
    high: FloatArray
    rms: FloatArray

    @property
    def peak(self) -> float:
        """The largest magnitude of all."""
        return max(float(self.high.max(initial=0.0)), -float(self.low.min(initial=0.0)))

    def as_json(self) -> bytes:
        """The extremes in the JSON form of audiowaveform (version 2, one channel, 16 bits), which web players read."""
        pairs = np.stack([self.low, self.high], axis=-1).reshape(-1)
        data = np.clip(np.round(pairs * 32_768), -32_768, 32_767).astype(int).tolist()
        document = {
            "version": 2,
            "channels": 1,
            "sample_rate": self.sample_rate,
            "samples_per_pixel": self.samples_per_point,
            "bits": 16,
            "length": len(self.low),
            "data": data,
        }
        return json.dumps(document, separators=(",", ":")).encode()


class EnvelopeMeter:
    """Feed blocks (C, T) of any size, `frames` in all; more than that is an error."""

    def __init__(self, sample_rate: int, *, frames: int, points: int = POINTS) -> None:
        self._sample_rate = sample_rate
        self._frames = frames
        self._step = max(-(-frames // points), 1)
        count = -(-frames // self._step)
        self._position = 0
        self._low = np.full(count, np.inf, np.float32)
        self._high = np.full(count, -np.inf, np.float32)
        self._energy = np.zeros(count)

    def update(self, wav: FloatArray) -> None:
        """Take in `wav` (C, T); ValueError when it goes beyond the length that was announced."""
        stop = self._position + wav.shape[-1]
        if stop > self._frames:
            raise ValueError(f"{stop} frames were fed, {self._frames} were announced")
        if wav.shape[-1] == 0:
            return
        first = self._position // self._step
        last = (stop - 1) // self._step
        starts = np.maximum(np.arange(first, last + 1) * self._step - self._position, 0)
        points = slice(first, last + 1)
        if len(wav) == 1:
            low = high = wav[0]
            powers = np.square(wav[0])
        else:
            low, high = wav.min(axis=0), wav.max(axis=0)
            powers = np.einsum("ct,ct->t", wav, wav) / np.float32(len(wav))
        self._low[points] = np.minimum(self._low[points], np.minimum.reduceat(low, starts))
        self._high[points] = np.maximum(self._high[points], np.maximum.reduceat(high, starts))
        self._energy[points] += np.add.reduceat(powers, starts)
        self._position = stop

    def result(self) -> Envelope:
        """The outline; what was announced and never fed is silence."""
        is_known = np.isfinite(self._low)
        return Envelope(
            sample_rate=self._sample_rate,
            samples_per_point=self._step,
            frames=self._frames,
            low=np.where(is_known, self._low, 0).astype(np.float32),
            high=np.where(is_known, self._high, 0).astype(np.float32),
            rms=np.sqrt(self._energy / self._lengths()).astype(np.float32),
        )

    def _lengths(self) -> NDArray[np.int64]:
        return np.diff(np.append(np.arange(len(self._low)) * self._step, self._frames))

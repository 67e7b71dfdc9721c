"""Scale-invariant signal-to-distortion ratio of an estimate against its clean reference, in a stream."""

from __future__ import annotations

import math

import numpy as np

from core.audio.types import FloatArray


class SiSdrMeter:
    """Feed aligned blocks (C, T) of both signals; `result` is the mean over the channels in dB.

    Zero-mean SI-SDR (Le Roux et al., "SDR - half-baked or well done?", 2019): with both means taken out,
    |a s|^2 / |a s - e|^2, where a = <e, s> / |s|^2. Five sums per channel in float64 are all that is kept; they resolve
    up to about 140 dB.
    """

    def __init__(self, channels: int) -> None:
        self._samples = 0
        self._sums = np.zeros((2, channels))
        self._products = np.zeros((3, channels))  # estimate * estimate, reference * reference, estimate * reference

    def update(self, estimate: FloatArray, reference: FloatArray) -> None:
        """Take in both signals (C, T); ValueError when their shapes differ."""
        if estimate.shape != reference.shape:
            raise ValueError(f"estimate {estimate.shape} and reference {reference.shape} differ in shape")
        e, s = estimate.astype(np.float64), reference.astype(np.float64)
        self._samples += e.shape[-1]
        self._sums += e.sum(axis=-1), s.sum(axis=-1)
        self._products += [np.einsum("ct,ct->c", first, second) for first, second in ((e, e), (s, s), (e, s))]

    def result(self) -> float | None:
        """SI-SDR in dB; infinite for an exact multiple, None when a channel of the reference or estimate is silent."""
        if self._samples == 0:
            return None
        means = self._sums / self._samples
        estimate_energy, reference_energy, product = (
            self._products - np.stack([means[0] ** 2, means[1] ** 2, means[0] * means[1]]) * self._samples
        )
        if not (np.all(estimate_energy > 0) and np.all(reference_energy > 0)):
            return None
        target = product**2 / reference_energy
        distortion = np.maximum(estimate_energy - target, 0.0)
        ratios = [_ratio_db(t, d) for t, d in zip(target, distortion, strict=True)]
        return math.fsum(ratios) / len(ratios)


def _ratio_db(target: float, distortion: float) -> float:
    if distortion == 0:
        return math.inf
    return 10 * math.log10(target / distortion) if target > 0 else -math.inf

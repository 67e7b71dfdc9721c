"""Objective measures of one estimate against its clean reference, from the packages that the field uses.

Signals are (T,) float arrays of equal length at 16 kHz.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pesq as pesq_package
from numpy.typing import NDArray
from pystoi import stoi as pystoi_stoi

FloatArray = NDArray[np.float32]

SAMPLE_RATE = 16000
ROUNDING = float(np.finfo(np.float64).eps)  # ratios beyond it, about 156 dB, are rounding
LSD_FLOOR_DB = -80.0  # below the reference's strongest bin


def si_sdr_db(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the scale-invariant SDR in dB of zero-mean signals; nan when either is silent."""
    e = estimate.astype(np.float64) - estimate.mean(dtype=np.float64)
    s = clean.astype(np.float64) - clean.mean(dtype=np.float64)
    if not np.any(e) or not np.any(s):
        return float("nan")
    target = (e @ s) / (s @ s) * s
    error = e - target
    energy = target @ target
    return float(10 * np.log10(max(energy, ROUNDING * (e @ e)) / max(error @ error, ROUNDING * energy)))


def pesq_wideband(estimate: FloatArray, clean: FloatArray) -> float:
    """Return PESQ (P.862.2 MOS-LQO, 1.02..4.64); nan without an utterance or when too short."""
    if not estimate.any() or not clean.any():
        return float("nan")
    try:
        return float(pesq_package.pesq(SAMPLE_RATE, clean, estimate, "wb"))
    except (pesq_package.NoUtterancesError, pesq_package.BufferTooShortError):
        return float("nan")


def stoi(estimate: FloatArray, clean: FloatArray, *, extended: bool = False) -> float:
    """Return STOI, or ESTOI when `extended` (0..1); nan when silent, or with less than 0.4 s of speech."""
    if not estimate.any() or not clean.any():
        return float("nan")
    with warnings.catch_warnings():
        # The package warns, and returns a meaningless 1e-5, where too little of the reference is speech.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi_stoi(clean, estimate, SAMPLE_RATE, extended=extended))
        except RuntimeWarning:
            return float("nan")


def log_spectral_distance_db(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the log-spectral distance in dB: RMS over bins, mean over frames (512 / 128, Hann), floored at -80 dB."""
    window = np.hanning(513)[:-1]

    def log_power(wav: FloatArray) -> NDArray[np.float64]:
        padded = np.pad(wav.astype(np.float64), (0, max(0, len(window) - len(wav))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, len(window))[::128]
        return np.square(np.abs(np.fft.rfft(frames * window, axis=-1)))

    p_clean = log_power(clean)
    floor = max(p_clean.max() * 10 ** (LSD_FLOOR_DB / 10), np.finfo(np.float64).tiny)
    difference = 10 * np.log10(np.maximum(log_power(estimate), floor) / np.maximum(p_clean, floor))
    return float(np.sqrt(np.square(difference).mean(axis=-1)).mean())


def level_change_db(output: FloatArray, reference: FloatArray) -> float:
    """Return the gain in dB that the reference has in the output (its projection); 0 keeps the level, nan if silent."""
    energy = float(np.dot(reference.astype(np.float64), reference.astype(np.float64)))
    projection = float(np.dot(output.astype(np.float64), reference.astype(np.float64)))
    if energy == 0 or projection <= 0:
        return float("nan")
    return float(20 * np.log10(projection / energy))


def residual_ratio_db(output: FloatArray, reference: FloatArray) -> float:
    """Return the energy of `reference - output` over that of `reference` in dB: on clean input, what was damaged."""
    residual = reference.astype(np.float64) - output
    energy = float(np.dot(reference.astype(np.float64), reference.astype(np.float64)))
    if energy == 0:
        return float("nan")
    return float(10 * np.log10(max(float(residual @ residual), ROUNDING * energy) / energy))


def bootstrap_interval(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean of the finite `values`; nan, nan when there are none."""
    finite = np.array([value for value in values if np.isfinite(value)])
    if len(finite) == 0:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(len(finite), size=(resamples, len(finite)))
    means = finite[draws].mean(axis=1)
    tail = (1 - confidence) / 2
    return float(np.quantile(means, tail)), float(np.quantile(means, 1 - tail))

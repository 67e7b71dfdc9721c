"""SDR, SIR and SAR of estimated stems (BSS Eval; Vincent et al., 2006), by the package fast-bss-eval."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import fast_bss_eval
import numpy as np
import torch
from numpy.typing import NDArray

from training.datasets import FloatArray

FILTER_SAMPLES = 512  # of the distortion that is allowed for, as in museval and mir_eval
SILENT_POWER = 1e-10  # -100 dBFS: BSS Eval has no value for a silent reference
LIMIT_DB = 100.0  # beyond it the figures are rounding


@dataclass(frozen=True, kw_only=True)
class StemScores:
    """dB for each stem (S,): nan where the reference is silent, or is the only one (SIR)."""

    sdr_db: NDArray[np.float64]
    sir_db: NDArray[np.float64]
    sar_db: NDArray[np.float64]


def score_stems(estimates: FloatArray, references: FloatArray) -> StemScores:
    """Return the scores of `estimates` (S, C, T) against `references` (S, C, T), each the mean over the channels.

    Over the whole signals (BSS Eval v3), not the median of one-second windows (v4). A silent estimate of a stem that
    sounds has the worst figures, -100 dB.
    """
    if estimates.shape != references.shape:
        raise ValueError(f"estimates {estimates.shape} and references {references.shape} differ in shape")
    scores = np.full((3, *references.shape[:2]), np.nan)
    for channel in range(references.shape[1]):
        sounding = np.flatnonzero(np.square(references[:, channel]).mean(axis=-1) > SILENT_POWER)
        if len(sounding):
            scores[:, sounding, channel] = _score_channel(
                estimates[sounding, channel].astype(np.float64), references[sounding, channel].astype(np.float64)
            )
    sounds = np.isfinite(scores).any(axis=-1)
    means = np.full(sounds.shape, np.nan)
    means[sounds] = np.nanmean(scores[sounds], axis=-1)
    sdr_db, sir_db, sar_db = means
    return StemScores(sdr_db=sdr_db, sir_db=sir_db, sar_db=sar_db)


def _score_channel(estimates: NDArray[np.float64], references: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return SDR, SIR and SAR (3, S) of (S, T), every reference of which sounds."""
    scores = np.full((3, len(references)), -LIMIT_DB)
    sounding = np.flatnonzero(np.square(estimates).mean(axis=-1) > SILENT_POWER)
    if len(sounding):
        # A silent estimate would make the package's equations singular; any other signal takes its place there.
        filled = estimates.copy()
        filled[np.setdiff1d(np.arange(len(references)), sounding)] = references.sum(axis=0)
        # Tensors, because the package's NumPy half is older than NumPy 2.
        with _one_thread():
            found = fast_bss_eval.bss_eval_sources(
                torch.from_numpy(references),
                torch.from_numpy(filled),
                filter_length=FILTER_SAMPLES,
                compute_permutation=False,
                clamp_db=LIMIT_DB,
            )
        scores[:, sounding] = torch.stack(found).numpy()[:, sounding]
    if len(references) == 1:
        scores[1] = np.nan  # nothing interferes
    return scores


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep PyTorch to one thread: after `set_num_threads(2)` the pivots of its LU (2.13, oneMKL) are wrong."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

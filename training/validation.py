"""Validation on fixed mixtures: the loss, what ears hear, and guards against doing too much or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import soxr
import torch
from numpy.typing import ArrayLike
from torch import nn

from training import metrics
from training.architectures import enhance_batch
from training.datasets import FloatArray
from training.losses.combined import Loss
from training.mixing import Example

DAMAGE_LIMIT_DB = -10.0  # residual on clean input above this: speech is being removed
IDLE_LIMIT_DB = 0.3  # SI-SDR gain below this: nothing is being removed
LEVEL_LIMIT_DB = 1.5
PESQ_RANGE = (1.02, 4.64)  # of P.862.2
SI_SDR_RANGE_DB = (0.0, 20.0)  # what is told apart in `perceptual_score`


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """Means over the fixed mixtures. `clean_residual_db` is what the network takes away from the clean programme."""

    loss: float
    pesq: float
    estoi: float
    si_sdr_db: float
    si_sdr_gain_db: float
    lsd_db: float
    lsd_gain_db: float  # how much nearer the spectrum has come
    level_change_db: float
    clean_residual_db: float
    residual_correlation: float  # of the removed part with the clean speech, -1..1

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)

    def score(self, select_by: str) -> float:
        """Return the figure of this name, or of this property, so that more is better."""
        return -self.loss if select_by == "loss" else float(getattr(self, select_by))

    @property
    def perceptual_score(self) -> float:
        """The mean of PESQ, ESTOI and SI-SDR (0..20 dB), each brought to 0..1: a run cannot buy one with another."""
        return (position(self.pesq, PESQ_RANGE) + self.estoi + position(self.si_sdr_db, SI_SDR_RANGE_DB)) / 3

    @property
    def summary(self) -> str:
        """The figures in a line."""
        return (
            f"loss {self.loss:.4f} PESQ {self.pesq:.3f} ESTOI {self.estoi:.3f} SI-SDR {self.si_sdr_db:.2f} "
            f"({self.si_sdr_gain_db:+.2f}) dB LSD {self.lsd_db:.2f} dB level {self.level_change_db:+.2f} dB "
            f"clean residual {self.clean_residual_db:.1f} dB"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the guards found: over-denoising, idleness, drift of level."""
        found = []
        if self.clean_residual_db > DAMAGE_LIMIT_DB:
            found.append(f"over-denoises: takes {self.clean_residual_db:.1f} dB of clean speech away")
        if self.si_sdr_gain_db < IDLE_LIMIT_DB:
            found.append(f"does next to nothing: SI-SDR {self.si_sdr_gain_db:+.2f} dB")
        if abs(self.level_change_db) > LEVEL_LIMIT_DB:
            found.append(f"changes the level of speech by {self.level_change_db:+.1f} dB")
        return tuple(found)


@torch.no_grad()
def validate(
    network: nn.Module, examples: Sequence[Example], loss: Loss, *, sample_rate: int = metrics.SAMPLE_RATE
) -> ValidationReport:
    """Return the report of `network` (B, T) -> (B, T), in evaluation mode, on `examples` at `sample_rate`.

    PESQ and ESTOI are taken at 16 kHz.
    """
    with evaluating(network):
        rows = [_figures(network, example, loss, sample_rate=sample_rate) for example in examples]
    return ValidationReport(**mean_figures(rows))


def _figures(network: nn.Module, example: Example, loss: Loss, *, sample_rate: int) -> dict[str, float]:
    noisy = torch.from_numpy(example.noisy).unsqueeze(0)
    clean = torch.from_numpy(example.clean).unsqueeze(0)
    estimate_batch = enhance_batch(network, noisy).cpu()
    estimate = estimate_batch[0].numpy()
    of_clean = enhance_batch(network, clean)[0].cpu().numpy()
    before = metrics.si_sdr_db(example.noisy, example.clean)
    after = metrics.si_sdr_db(estimate, example.clean)
    lsd_before = metrics.log_spectral_distance_db(example.noisy, example.clean)
    lsd_after = metrics.log_spectral_distance_db(estimate, example.clean)
    heard = [at_speech_rate(wav, sample_rate) for wav in (estimate, example.clean)]
    return {
        "loss": float(loss(estimate_batch, clean)),
        "pesq": metrics.pesq_wideband(*heard),
        "estoi": metrics.stoi(*heard, extended=True),
        "si_sdr_db": after,
        "si_sdr_gain_db": after - before,
        "lsd_db": lsd_after,
        "lsd_gain_db": lsd_before - lsd_after,
        "level_change_db": metrics.level_change_db(estimate, example.clean),
        "clean_residual_db": metrics.residual_ratio_db(of_clean, example.clean),
        "residual_correlation": _correlation(example.noisy - estimate, example.clean),
    }


def at_speech_rate(wav: FloatArray, sample_rate: int) -> FloatArray:
    """Return (T,) at 16 kHz, where PESQ, STOI and DNSMOS are taken."""
    if sample_rate == metrics.SAMPLE_RATE:
        return wav
    return np.asarray(soxr.resample(wav, sample_rate, metrics.SAMPLE_RATE), dtype=np.float32)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.dot(first, second)) / norms if norms > 0 else float("nan")


def position(value: float, limits: tuple[float, float]) -> float:
    """Return where `value` lies between the limits, 0..1."""
    low, high = limits
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Hold `network` in evaluation mode, and leave it in the mode that it had."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def mean_figures(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return for each figure the mean of what is finite of it, over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: finite_mean([row[name] for row in rows if name in row]) for name in names}


def finite_mean(values: ArrayLike) -> float:
    """Return the mean of what is finite of `values`, of any shape; nan where nothing is."""
    array = np.asarray(values, dtype=np.float64)
    finite = array[np.isfinite(array)]
    return float(finite.mean()) if finite.size else float("nan")

"""What a generator is judged by: how its speech sounds, and whether it still says what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from core.audio import dnsmos
from core.audio.dnsmos import DnsmosMeter
from core.enhancement.drift import DriftLimits, find_drift
from training import metrics
from training.datasets import FloatArray
from training.losses.combined import Loss
from training.mixing import Example
from training.validation import PESQ_RANGE, at_speech_rate, evaluating, finite_mean, mean_figures, position

DNSMOS_RANGE = (1.0, 4.5)  # noise to the best of recordings
DRIFT_LIMIT = 0.2  # share of the windows: beyond it the generator makes words up
SILENCE_LIMIT_DB = -40.0  # RMS beside that of full scale: beyond it the generator speaks where nobody does


@dataclass(frozen=True, kw_only=True)
class GenerationReport:
    """Means over the fixed examples; those in which nobody speaks count for the loss and `silence_db` alone."""

    loss: float
    pesq: float
    estoi: float
    si_sdr_db: float  # low for generators, whose waveform is their own
    lsd_db: float
    overall: float  # DNSMOS; nan where its package is not installed
    overall_gain: float  # over the input
    drifted: float  # share of the windows, 0..1, that do not say what the clean speech says
    silence_db: float  # the loudest output, dBFS RMS, where the target is silent; nan without such an example

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)

    def score(self, select_by: str) -> float:
        """Return the figure of this name, or of this property, so that more is better."""
        return -self.loss if select_by == "loss" else float(getattr(self, select_by))

    @property
    def perceptual_score(self) -> float:
        """The mean of PESQ, ESTOI and DNSMOS, each brought to 0..1: sounding well must not cost the words."""
        parts = [position(self.pesq, PESQ_RANGE), self.estoi, position(self.overall, DNSMOS_RANGE)]
        return finite_mean(parts)

    @property
    def summary(self) -> str:
        """The figures in a line."""
        return (
            f"loss {self.loss:.4f} PESQ {self.pesq:.3f} ESTOI {self.estoi:.3f} DNSMOS {self.overall:.2f} "
            f"({self.overall_gain:+.2f}) drifted {100 * self.drifted:.0f} % SI-SDR {self.si_sdr_db:.2f} dB "
            f"LSD {self.lsd_db:.2f} dB"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the guards found: other words, or speech out of silence."""
        found = []
        if self.drifted > DRIFT_LIMIT:
            found.append(f"says other things than the speaker in {100 * self.drifted:.0f} % of the windows")
        if self.silence_db > SILENCE_LIMIT_DB:
            found.append(f"makes sound of {self.silence_db:.0f} dBFS where nobody speaks")
        return tuple(found)


@torch.no_grad()
def validate_generation(
    network: nn.Module,
    examples: Sequence[Example],
    loss: Loss,
    *,
    forward: Callable[[nn.Module, Tensor], Tensor],
    sample_rate: int,
) -> GenerationReport:
    """Return the report of `network`, in evaluation mode, on `examples` whose targets are at `sample_rate`."""
    with evaluating(network):
        rows = [_figures(network, example, loss, forward=forward, sample_rate=sample_rate) for example in examples]
    absent = dict.fromkeys(GenerationReport.__annotations__, float("nan"))
    loudest = max((row["silence_db"] for row in rows if "silence_db" in row), default=float("nan"))
    return GenerationReport(**absent | mean_figures(rows) | {"silence_db": loudest})


def _figures(
    network: nn.Module,
    example: Example,
    loss: Loss,
    *,
    forward: Callable[[nn.Module, Tensor], Tensor],
    sample_rate: int,
) -> dict[str, float]:
    clean_batch = torch.from_numpy(example.clean).unsqueeze(0)
    estimate_batch = forward(network, torch.from_numpy(example.noisy).unsqueeze(0)).float()
    value = float(loss(estimate_batch, clean_batch.to(estimate_batch.device)))
    estimate = at_speech_rate(estimate_batch[0].cpu().numpy(), sample_rate)
    clean = at_speech_rate(example.clean, sample_rate)
    if not clean.any():
        return {"loss": value, "silence_db": 10 * np.log10(float(np.mean(np.square(estimate))) + 1e-12)}
    overall = _overall(estimate)
    return {
        "loss": value,
        "pesq": metrics.pesq_wideband(estimate, clean),
        "estoi": metrics.stoi(estimate, clean, extended=True),
        "si_sdr_db": metrics.si_sdr_db(estimate, clean),
        "lsd_db": metrics.log_spectral_distance_db(estimate, clean),
        "overall": overall,
        "overall_gain": overall - _overall(example.noisy),
        "drifted": drifted_share(estimate, clean),
    }


def drifted_share(estimate: FloatArray, clean: FloatArray) -> float:
    """Return the share (0..1) of the samples (T,) at 16 kHz in windows that do not say what `clean` says."""
    gain = float(np.linalg.norm(clean) / (np.linalg.norm(estimate) + 1e-9))  # levels are not what is asked for
    windows = find_drift(
        np.float32(gain) * estimate, clean, metrics.SAMPLE_RATE, peak=float(np.abs(clean).max()), limits=DriftLimits()
    )
    covered = np.zeros(len(clean), dtype=bool)
    for start, stop in windows:
        covered[start:stop] = True
    return float(covered.mean())


def _overall(wav: FloatArray) -> float:
    """Return DNSMOS's overall score of (T,) at 16 kHz; nan for silence, or where its package is not installed."""
    if not dnsmos.is_installed():
        return float("nan")
    meter = DnsmosMeter(metrics.SAMPLE_RATE, frames=len(wav))
    meter.update(wav[np.newaxis])
    scores = meter.result()
    return float("nan") if scores is None else scores["overall"]

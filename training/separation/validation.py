"""Validation of a separator on fixed mixes: the loss, and SDR, SIR and SAR of every stem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.losses.combined import Loss
from training.separation.bss_eval import StemScores, score_stems
from training.separation.mixing import StemExample
from training.validation import evaluating, finite_mean

IDLE_LIMIT_DB = 0.3  # SDR over that of the mix itself, below this: nothing is being taken apart
LEVEL_LIMIT_DB = 3.0


@dataclass(frozen=True, kw_only=True)
class SeparationReport:
    """Means over the fixed mixes, in all and for each stem; `sdr_gain_db` is over the mix itself as the estimate."""

    loss: float
    sdr_db: float
    sir_db: float
    sar_db: float
    sdr_gain_db: float
    level_change_db: float  # of the stems' sum against the mix
    stems: Mapping[str, Mapping[str, float]]

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name; those of a stem have its name in front."""
        figures = {
            "loss": self.loss,
            "sdr_db": self.sdr_db,
            "sir_db": self.sir_db,
            "sar_db": self.sar_db,
            "sdr_gain_db": self.sdr_gain_db,
            "level_change_db": self.level_change_db,
        }
        return figures | {f"{stem}_{name}": value for stem, row in self.stems.items() for name, value in row.items()}

    def score(self, select_by: str) -> float:
        """Return the figure of this name so that more is better."""
        return -self.loss if select_by == "loss" else self.as_dict()[select_by]

    @property
    def summary(self) -> str:
        """The figures in a line."""
        return (
            f"loss {self.loss:.4f} SDR {self.sdr_db:.2f} ({self.sdr_gain_db:+.2f}) SIR {self.sir_db:.2f} "
            f"SAR {self.sar_db:.2f} dB level {self.level_change_db:+.2f} dB"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the network, if anything: idleness, drift of level."""
        found = []
        if self.sdr_gain_db < IDLE_LIMIT_DB:
            found.append(f"does next to nothing: SDR {self.sdr_gain_db:+.2f} dB over the mix itself")
        if abs(self.level_change_db) > LEVEL_LIMIT_DB:
            found.append(f"changes the level: the stems' sum lies {self.level_change_db:+.1f} dB beside the mix")
        return tuple(found)


def separate_batch(network: nn.Module, mixes: Tensor) -> Tensor:
    """Return the stems (B, S, C, T) of `mixes` (B, C, T), computed where the network is."""
    device = next(network.parameters()).device
    stems: Tensor = network(mixes.to(device))
    return stems


@torch.no_grad()
def validate_separation(
    network: nn.Module, *, examples: Sequence[StemExample], loss: Loss, sources: Sequence[str]
) -> SeparationReport:
    """Return the report of `network` (B, C, T) -> (B, S, C, T), in evaluation mode, on `examples`."""
    losses, levels, gains, scores = [], [], [], []
    with evaluating(network):
        for example in examples:
            estimate_batch = separate_batch(network, torch.from_numpy(example.mix).unsqueeze(0)).cpu()
            losses.append(float(loss(estimate_batch, torch.from_numpy(example.stems).unsqueeze(0))))
            estimates = estimate_batch[0].numpy()
            found = score_stems(estimates, example.stems)
            of_mix = score_stems(np.broadcast_to(example.mix, example.stems.shape), example.stems)
            scores.append(found)
            gains.append(found.sdr_db - of_mix.sdr_db)
            levels.append(_level_db(estimates.sum(axis=0)) - _level_db(example.mix))
    return SeparationReport(
        loss=float(np.mean(losses)),
        **_means(scores),
        sdr_gain_db=finite_mean(gains),
        level_change_db=finite_mean(levels),
        stems={
            source: {
                "sdr_db": finite_mean([found.sdr_db[index] for found in scores]),
                "sir_db": finite_mean([found.sir_db[index] for found in scores]),
                "sar_db": finite_mean([found.sar_db[index] for found in scores]),
            }
            for index, source in enumerate(sources)
        },
    )


def _means(scores: Sequence[StemScores]) -> dict[str, float]:
    return {name: finite_mean([getattr(found, name) for found in scores]) for name in ("sdr_db", "sir_db", "sar_db")}


def _level_db(wav: NDArray[np.float32]) -> float:
    power = float(np.mean(np.square(wav, dtype=np.float64)))
    return 10 * float(np.log10(power)) if power > 0 else float("nan")

"""The weighted sum of losses that a recipe names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor

from core.errors import InvalidOptions
from training.losses.disturbance import disturbance_loss
from training.losses.intelligibility import estoi_loss
from training.losses.loudness import loudness_loss
from training.losses.mos_lqo import mos_lqo_loss
from training.losses.multi_resolution_stft import multi_resolution_stft_loss
from training.losses.opinion import opinion_loss
from training.losses.spectral import (
    compressed_magnitude_l1_loss,
    compressed_magnitude_loss,
    compressed_spectrum_loss,
    magnitude_l1_loss,
)
from training.losses.stages import Loss as Loss
from training.losses.stages import StageLoss
from training.losses.waveform import l1_loss, si_sdr_loss, snr_loss

SAMPLE_RATE = 16000
LOUDNESS = "loudness"
OPINION = "opinion"
STAGE_MAE = "stage_mae"
SPEECH_RATE_LOSSES = frozenset(
    {"compressed_magnitude", "compressed_spectrum", "estoi", "disturbance", "mos_lqo", OPINION}
)
"""What has bands or weights at fixed frequencies and computes them for 16 kHz."""

LOSSES: Mapping[str, Loss] = {
    "l1": l1_loss,
    "snr": snr_loss,
    "si_sdr": si_sdr_loss,
    "multi_resolution_stft": multi_resolution_stft_loss,
    "magnitude_l1": magnitude_l1_loss,
    "compressed_magnitude_l1": compressed_magnitude_l1_loss,
    "compressed_magnitude": compressed_magnitude_loss,
    "compressed_spectrum": compressed_spectrum_loss,
    "estoi": estoi_loss,
    "disturbance": disturbance_loss,
    "mos_lqo": mos_lqo_loss,
}


def build_loss(weights: Mapping[str, float], *, sample_rate: int = SAMPLE_RATE, opinion_waves: int = 1) -> Loss:
    """Return the sum of the named losses times their weights (brief a: l1 .5, si_sdr .5, multi_resolution_stft .1).

    With `stage_mae` among them the result is a `StageLoss`, for networks that estimate spectrograms in stages.
    `opinion` hears `opinion_waves` of a batch.
    """
    known = [*LOSSES, LOUDNESS, OPINION, STAGE_MAE]
    unknown = sorted(set(weights) - set(known))
    if unknown or not weights:
        raise InvalidOptions(f"Unknown losses {unknown}; known are {', '.join(known)}; at least one is needed")
    narrow = sorted(SPEECH_RATE_LOSSES & set(weights))
    if narrow and sample_rate != SAMPLE_RATE:
        raise InvalidOptions(f"The losses {narrow} are of {SAMPLE_RATE} Hz; the recipe's rate is {sample_rate} Hz")
    losses: dict[str, Loss] = {
        **LOSSES,
        LOUDNESS: partial(loudness_loss, sample_rate=sample_rate),
        OPINION: partial(opinion_loss, waves=opinion_waves),
    }
    terms = [(weight, losses[name]) for name, weight in weights.items() if name != STAGE_MAE]
    if STAGE_MAE in weights:
        return StageLoss(weight=weights[STAGE_MAE], further=_sum_of(terms) if terms else None)
    return _sum_of(terms)


def _sum_of(terms: Sequence[tuple[float, Loss]]) -> Loss:

    def combined(estimate: Tensor, clean: Tensor) -> Tensor:
        first_weight, first = terms[0]
        total = first_weight * first(estimate, clean)
        for weight, loss in terms[1:]:
            total = total + weight * loss(estimate, clean)
        return total

    return combined

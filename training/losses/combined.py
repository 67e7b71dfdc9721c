"""The weighted sum of losses that a recipe names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from core.errors import InvalidOptions
from training.losses.disturbance import disturbance_loss
from training.losses.intelligibility import estoi_loss
from training.losses.multi_resolution_stft import multi_resolution_stft_loss
from training.losses.spectral import (
    compressed_magnitude_l1_loss,
    compressed_magnitude_loss,
    compressed_spectrum_loss,
    magnitude_l1_loss,
)
from training.losses.waveform import l1_loss, si_sdr_loss, snr_loss

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes estimate and clean (B, T), returns a scalar."""

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
}


def build_loss(weights: Mapping[str, float]) -> Loss:
    """Return the sum of the named losses times their weights (brief a: l1 .5, si_sdr .5, multi_resolution_stft .1)."""
    unknown = sorted(set(weights) - set(LOSSES))
    if unknown or not weights:
        raise InvalidOptions(f"Unknown losses {unknown}; known are {', '.join(LOSSES)}; at least one is needed")
    terms = [(weight, LOSSES[name]) for name, weight in weights.items()]

    def combined(estimate: Tensor, clean: Tensor) -> Tensor:
        first_weight, first = terms[0]
        total = first_weight * first(estimate, clean)
        for weight, loss in terms[1:]:
            total = total + weight * loss(estimate, clean)
        return total

    return combined

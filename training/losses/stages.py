"""Loss of networks that estimate a spectrogram in stages, each of which is held to the clean one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from core.errors import InvalidOptions
from core.models.frame_stft import FrameStft

Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes estimate and clean (B, T), returns a scalar."""


@runtime_checkable
class StagedNetwork(Protocol):
    """A network that shows the spectrograms (B, 2, N, F) of its stages, the last one being the result."""

    stft: FrameStft

    def estimates(self, spectrogram: Tensor) -> tuple[Tensor, ...]: ...


def spectrum_mae(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference of real and imaginary parts of two spectrograms (B, 2, N, F)."""
    return (estimate - clean).abs().mean()


@lru_cache(maxsize=2)
def _stft(device: torch.device) -> FrameStft:
    return FrameStft().to(device)


class StageLoss:
    """`weight` times the MAE of every stage, as Moliner and Valimaki sum them, plus `further` on the result's waveform.

    Called like any loss, with waveforms, it judges a result: its MAE alone, on the STFT of the waveform.
    """

    def __init__(self, *, weight: float, further: Loss | None = None) -> None:
        self._weight = weight
        self._further = further

    def __call__(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of the finished `estimate` (B, T)."""
        stft = _stft(clean.device)
        total = self._weight * spectrum_mae(stft(estimate), stft(clean))
        return total if self._further is None else total + self._further(estimate, clean)

    def of_network(self, network: nn.Module, noisy: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of all stages on mixtures (B, T); InvalidOptions for a network that has none.

        Frames that the segment does not fill are left out, and so are, for the waveform, the samples at its ends that
        few frames cover.
        """
        if not isinstance(network, StagedNetwork):
            raise InvalidOptions(f"stage_mae needs a network with stages; {type(network).__name__} has none")
        stft = network.stft
        target = stft(clean)
        stages = [stage.float() for stage in network.estimates(stft(noisy))]
        with torch.autocast(noisy.device.type, enabled=False):
            total = self._weight * torch.stack([spectrum_mae(stage, target) for stage in stages]).sum()
            if self._further is None:
                return total
            inside = slice(stft.edge_samples, -stft.edge_samples)
            estimate = stft.inverse(stages[-1])
            return total + self._further(estimate[:, inside], clean[:, : estimate.shape[-1]][:, inside])

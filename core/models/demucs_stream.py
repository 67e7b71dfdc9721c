"""The causal Demucs block by block: the result of `DemucsCausal.estimate` over the whole, in constant memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.demucs_causal import DemucsCausal
from core.models.demucs_stages import (
    BottleneckStage,
    DecoderStage,
    Downsampler,
    EncoderStage,
    SkipQueue,
    Stage,
    Upsampler,
)

OUTER_LEVELS = 2
"""The levels with the longest signals and the smallest weights."""
OUTER_S = 0.5
"""What these take at once, so that their signals stay in the cache. The inner levels take a whole block: their weights,
forty megabytes in the LSTM, are packed for each call.
"""


class DemucsStream:
    """One pass over one recording: `push` its blocks in order, then `finish`. For inference; gradients are not kept.

    The outputs, put together, have the input's length and alignment; each comes less than 0.1 s later than its input.
    `std` is the recording's standard deviation, as in `DemucsCausal.forward`. ValueError for a network that is not
    causal, because its LSTM needs the end of the recording first, and for a kernel that is no multiple of the stride.
    """

    def __init__(self, network: DemucsCausal, *, std: float) -> None:
        if not network.config.causal:
            raise ValueError("only a causal network can run block by block")
        self._network = network
        self._std = std
        self._received = 0
        self._returned = 0
        self._nothing = next(network.parameters()).new_zeros(1, 1, 0)
        resamplings = range(network.config.resample.bit_length() - 1)
        skips = [SkipQueue() for _ in network.encoder]
        encoder = cast("list[nn.Sequential]", list(network.encoder))
        decoder = cast("list[nn.Sequential]", list(network.decoder))
        with torch.no_grad():
            levels: list[Stage] = [
                *map(EncoderStage, encoder, skips),
                BottleneckStage(network.lstm),
                *map(DecoderStage, decoder, reversed(skips)),
            ]
        outer = min(OUTER_LEVELS, len(encoder))
        self._upsamplers: list[Stage] = [Upsampler() for _ in resamplings]
        self._outer_encoder, self._inner = levels[:outer], levels[outer : len(levels) - outer]
        self._outer_decoder = levels[len(levels) - outer :]
        self._downsamplers: list[Stage] = [Downsampler() for _ in resamplings]
        config = network.config
        row_samples = config.stride**outer  # at the rate inside the network
        self._rows_at_once = max(round(OUTER_S * config.sample_rate * config.resample) // row_samples, 1)
        self._samples_at_once = max(self._rows_at_once * row_samples // config.resample, 1)

    @torch.inference_mode()
    def push(self, noisy: Tensor) -> Tensor:
        """Take the next samples (B, 1, T) of any length; return the estimate (B, 1, T') that they complete."""
        self._received += noisy.shape[-1]
        self._nothing = noisy[..., :0]
        scaled = noisy / (self._network.config.floor + self._std)
        rows = torch.cat([self._enter(part) for part in _parts(scaled, self._samples_at_once, dim=-1)], 1)
        rows = _push_all(self._inner, rows)
        return torch.cat([self._leave(part) for part in _parts(rows, self._rows_at_once, dim=1)], -1)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Return the rest of the estimate (B, 1, T')."""
        padding = self._network.valid_length(self._received) - self._received if self._received else 0
        x = _finish_all(self._upsamplers, F.pad(self._nothing, (0, padding)))
        x = _finish_all([*self._outer_encoder, *self._inner, *self._outer_decoder], x.transpose(1, 2))
        return self._scaled(_finish_all(self._downsamplers, x.transpose(1, 2)))

    def _enter(self, x: Tensor) -> Tensor:
        """From samples (B, 1, T) to the features (B, T', C) that the outer levels complete."""
        return _push_all(self._outer_encoder, _push_all(self._upsamplers, x).transpose(1, 2))

    def _leave(self, x: Tensor) -> Tensor:
        """From features (B, T', C) of the inner levels to samples (B, 1, T)."""
        return self._scaled(_push_all(self._downsamplers, _push_all(self._outer_decoder, x).transpose(1, 2)))

    def _scaled(self, x: Tensor) -> Tensor:
        """Return the samples times the deviation, without those beyond the end of the input."""
        x = x[..., : self._received - self._returned]
        self._returned += x.shape[-1]
        return x * self._std


def _parts(x: Tensor, size: int, *, dim: int) -> Sequence[Tensor]:
    """Return `x` in parts of `size`; whole on a GPU, which has no such cache and takes its time for each call."""
    return x.split(size, dim) if x.device.type == "cpu" else (x,)


def _push_all(stages: Sequence[Stage], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage.push(x)
    return x


def _finish_all(stages: Sequence[Stage], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage.finish(x)
    return x

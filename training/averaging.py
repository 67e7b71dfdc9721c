"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """Keeps `average`, a copy of a network whose weights follow at `decay` per step; buffers are copied as they are.

    Early on the effective decay is (1 + n) / (10 + n), so that the random start is forgotten.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, *, steps_done: int) -> None:
        """Move the average towards `network` after optimiser step number `steps_done` (1-based)."""
        decay = min(self._decay, (1 + steps_done) / (10 + steps_done))
        for average, current in zip(self.average.parameters(), network.parameters(), strict=True):
            average.lerp_(current, 1 - decay)
        for kept, buffer in zip(self.average.buffers(), network.buffers(), strict=True):
            kept.copy_(buffer)

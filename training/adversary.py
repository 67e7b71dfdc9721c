"""Discriminators that learn beside a network: their updates, their judgement as a loss, their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.models.finally_speech.discriminator import MultiScaleDiscriminator
from training.clipping import NormLimit
from training.distributed import SOLO, Workers
from training.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from training.recipe import AdversarySection
from training.schedule import learning_rate_factor

Pair = tuple[Tensor, Tensor]
"""Estimate and clean signal, (B, T) each."""


class Adversary:
    """Multi-scale STFT discriminators with an optimiser of their own: least squares and feature matching.

    `last_loss` is that of the latest update. Where they hear a crop, its place is drawn from PyTorch's generator.
    """

    def __init__(self, config: AdversarySection) -> None:
        self._config = config
        self.network = MultiScaleDiscriminator(config.scales, width=config.width)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.optimiser.learning_rate,
            weight_decay=config.optimiser.weight_decay,
            betas=config.optimiser.betas,
        )
        self._norm_limit = NormLimit(config.optimiser)
        self.last_loss = float("nan")

    def to(self, device: torch.device) -> None:
        """Move the discriminators to `device`."""
        self.network.to(device)

    def learn(self, pairs: Sequence[Pair], *, step: int, total_steps: int, workers: Workers = SOLO) -> None:
        """Do the updates that go before the network's step `step`, on the parts of its batch."""
        factor = learning_rate_factor(step, total_steps=total_steps, config=self._config.optimiser)
        for group in self._optimiser.param_groups:
            group["lr"] = self._config.optimiser.learning_rate * factor
        for _ in range(self._config.updates):
            self._optimiser.zero_grad(set_to_none=True)
            total = torch.zeros((), device=pairs[0][0].device)
            for pair in pairs:
                estimate, clean = (wav.unsqueeze(1) for wav in self._crop(pair))
                loss = discriminator_loss(self.network(clean), self.network(estimate.detach())) / len(pairs)
                loss.backward()
                total += loss.detach()
            self.last_loss = workers.average_gradients(self.network.parameters(), total)
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), self._norm_limit.value)
            self._norm_limit.observe(float(norm))
            self._optimiser.step()

    def judge(self, estimate: Tensor, clean: Tensor) -> Tensor:
        """Return the weighted loss of the network whose estimate (B, T) this is; its gradient reaches that alone."""
        estimate, clean = self._crop((estimate, clean))
        # The discriminators are only asked: gradients of their weights would be computed for nothing.
        self.network.requires_grad_(False)
        try:
            of_estimate = self.network(estimate.unsqueeze(1))
            with torch.no_grad():
                of_clean = self.network(clean.unsqueeze(1))
            fooled = self._config.generator_weight * generator_loss(of_estimate)
            return fooled + self._config.feature_weight * feature_matching_loss(of_clean, of_estimate)
        finally:
            self.network.requires_grad_(True)

    def _crop(self, pair: Pair) -> Pair:
        wanted, length = self._config.crop_samples, pair[0].shape[-1]
        if wanted is None or wanted >= length:
            return pair
        start = int(torch.randint(length - wanted + 1, ()))
        estimate, clean = pair
        return estimate[..., start : start + wanted], clean[..., start : start + wanted]

    def state(self) -> dict[str, Any]:
        """Return all that the next update depends on."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "gradient_norms": self._norm_limit.norms,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._norm_limit.load(state["gradient_norms"])

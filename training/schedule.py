"""Learning-rate schedules, as a factor of the peak rate."""

from __future__ import annotations

import math

from training.recipe import OptimiserSection


def learning_rate_factor(step: int, *, total_steps: int, config: OptimiserSection) -> float:
    """Return the factor (0..1) for optimiser step `step` (0-based).

    A linear warm-up comes first; then the rate is constant, follows a half cosine to 0, falls by `step_gamma` every
    `step_every` steps, or holds and falls linearly to 0 over the last `decay_fraction` of all steps. Only the last
    lets a run be prolonged before the decay has begun without having bent the curve so far.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    progress = min(1.0, (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps))
    match config.schedule:
        case "constant":
            return 1.0
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "step":
            return float(config.step_gamma ** ((step - config.warmup_steps) // config.step_every))
        case "hold-decay":
            return min(1.0, max(0.0, total_steps - step) / max(1.0, config.decay_fraction * total_steps))

"""What the operator has chosen for the htdemucs presets: DEMUCS_MODEL and the customer's other variables.

A request's overrides come before it; it comes before what an alias stands for, and that before the preset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from core.model_catalogue import MODELS, Architecture, find_alias, find_model
from core.presets import Preset

MAX_SHIFTS = 4
MIN_OVERLAP = 0.1
MAX_OVERLAP = 0.75


@dataclass(frozen=True, kw_only=True)
class OperatorDefaults:
    """Replaces settings of every preset that separates with a demucs model; None leaves the preset's."""

    model: str | None = None  # of the demucs family, or an alias of one
    shifts: int | None = None  # 0..MAX_SHIFTS
    overlap: float | None = None  # MIN_OVERLAP..MAX_OVERLAP
    has_float_output: bool | None = None  # True: 32-bit float, False: 16 bit

    def apply(self, preset: Preset) -> Preset:
        """The preset as it is on this server; another kind of preset stays as it is."""
        if preset.model is None or not is_separator(preset.model):
            return preset
        changes: dict[str, Any] = {}
        if self.model is not None and not preset.pins_model:
            changes["model"] = self.model
            alias = find_alias(self.model)
            if alias is not None:
                changes |= {"shifts": alias.shifts, "overlap": alias.overlap}
        if self.shifts is not None:
            changes["shifts"] = self.shifts
        if self.overlap is not None:
            changes["overlap"] = self.overlap
        if self.has_float_output is not None:
            changes["subtype"] = "FLOAT" if self.has_float_output else "PCM_16"
        return replace(preset, **changes)


NO_DEFAULTS = OperatorDefaults()


def is_separator(model: str) -> bool:
    """True for a demucs model or an alias of one; NotFound when there is no such model."""
    return find_model(model).architecture is Architecture.DEMUCS


def check_separator(model: str) -> str:
    """Return `model`; ValueError, with all that can be chosen, when it is no demucs model."""
    if (find_alias(model) is None and model not in MODELS) or not is_separator(model):
        names = ", ".join(name for name, record in MODELS.items() if record.architecture is Architecture.DEMUCS)
        raise ValueError(f"it must be one of {names}")
    return model

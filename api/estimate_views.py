"""What clients send and see of estimates."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.estimation.estimate import Estimate, EstimateSource
from core.ids import ID_PATTERN
from core.presets import DEFAULT_PRESET, PRESETS


class EstimateRequest(BaseModel):
    """A job that might be submitted."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"duration_s": 3600.0, "preset": DEFAULT_PRESET}}
    )

    duration_s: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Seconds of audio")
    upload_id: str | None = Field(default=None, pattern=ID_PATTERN, description="Of a complete upload")
    preset: str = Field(default=DEFAULT_PRESET, json_schema_extra={"enum": list(PRESETS)})
    overrides: dict[str, Any] = Field(default={}, description="Settings that replace the preset's.")

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.duration_s is None) == (self.upload_id is None):
            raise ValueError("give either duration_s or upload_id")
        return self


class EstimateView(BaseModel):
    """How long it would take an idle worker."""

    model_config = ConfigDict(from_attributes=True)

    audio_s: float
    rtf: float = Field(description="Processing seconds per second of audio")
    processing_s: float
    relative_cost: float = Field(description="Passes of the model's network over the recording; 0: none runs")
    source: EstimateSource = Field(
        description="`measured`: recent jobs of this preset and model here; `benchmark`: `limpid bench` on this "
        "machine; `default`: figures of another machine, good to a factor of a few."
    )

    @classmethod
    def of(cls, estimate: Estimate) -> Self:
        return cls.model_validate(estimate)

"""The resolved options of one job: a preset with the request's overrides on top, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.dsp.chain import chain_as_json, parse_chain
from core.dsp.levels import PeakNormalize, RmsMatch, RmsNormalize
from core.errors import InvalidOptions
from core.model_catalogue import check_stems, find_model
from core.operator_defaults import NO_DEFAULTS, OperatorDefaults
from core.presets import Precision, find_preset

Format = Literal["wav", "flac", "mp3", "m4a", "opus", "ogg"]
Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]
Bandwidth = Literal["keep", "model"]
"""What lies above the model's band: carried over with the model's gain next to it, or left empty."""


MAX_TRACK = 64


class OutputSpec(BaseModel):
    """One encoding of the result.

    `subtype` None follows the source: PCM_16, PCM_24 or FLOAT. Lossy formats have none and ignore it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Format = "wav"
    subtype: Subtype | None = None

    @model_validator(mode="after")
    def _check_subtype(self) -> Self:
        if self.format == "flac" and self.subtype == "FLOAT":
            raise ValueError("FLAC has no subtype FLOAT; choose PCM_16 or PCM_24, or WAV for float samples")
        return self


class EnhanceOptions(BaseModel):
    """What a job does, fully resolved; stored with the job, so that the same job again gives the same bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str
    preset_version: int
    model: str | None
    shifts: int = Field(ge=0, le=10)
    overlap: float = Field(ge=0, le=0.75)
    precision: Precision = "standard"  # fast: about 40 to 50 dB from standard, where the model and machine have it
    stems: tuple[str, ...] | None = None  # None: every stem that the model has
    track: int = Field(default=1, ge=1, le=MAX_TRACK)  # of a video's or another container's sound tracks
    strength: float = Field(default=1.0, ge=0, le=1)  # 0: the input, 1: the estimate
    residual: bool = False  # also write what was taken away
    bandwidth: Bandwidth = "keep"
    listening: bool = False  # also write WAV copies of what is not there as WAV, for players
    pictures: bool = True  # also draw waveforms and spectrograms of before and after
    dnsmos: bool = False  # also score before and after by DNSMOS, which takes seconds
    chain: tuple[dict[str, Any], ...] = ()  # DSP steps in order, in the form of core.dsp.chain
    outputs: tuple[OutputSpec, ...] = Field(default=(OutputSpec(),), min_length=1, max_length=4)
    seed: int = Field(default=0, ge=0, lt=2**31)


OWN_LEVEL_STEPS = (PeakNormalize, RmsMatch, RmsNormalize)
"""With several stems they would change the balance between them, so that the stems no longer add up to the mix."""

OVERRIDABLE = frozenset(
    {
        "shifts",
        "overlap",
        "precision",
        "stems",
        "track",
        "strength",
        "residual",
        "bandwidth",
        "listening",
        "pictures",
        "dnsmos",
        "chain",
        "seed",
    }
)


def resolve_options(
    preset_name: str,
    overrides: Mapping[str, Any] | None = None,
    outputs: Sequence[Mapping[str, Any]] | None = None,
    *,
    operator: OperatorDefaults = NO_DEFAULTS,
) -> EnhanceOptions:
    """The preset's options, as the `operator` has them, with `overrides` and `outputs` applied.

    UnknownPreset or InvalidOptions name the offending value and what is allowed.
    """
    preset = operator.apply(find_preset(preset_name))
    overrides = dict(overrides or {})
    unknown = sorted(set(overrides) - OVERRIDABLE)
    if unknown:
        raise InvalidOptions(
            f"Unknown override {', '.join(map(repr, unknown))}. Overrides: {', '.join(sorted(OVERRIDABLE))}."
        )
    values = {
        "preset": preset.name,
        "preset_version": preset.version,
        "model": preset.model,
        "shifts": preset.shifts,
        "overlap": preset.overlap,
        "precision": preset.precision,
        "chain": [dict(step) for step in preset.chain],
        "outputs": list(outputs) if outputs else [{"subtype": preset.subtype}],
        **overrides,
    }
    try:
        options = EnhanceOptions.model_validate(values)
    except ValidationError as error:
        raise InvalidOptions(_describe(error)) from None
    if options.model is not None and options.stems is not None:
        record = find_model(options.model)
        check_stems(options.stems, available=record.stems, model=record.name)
    steps = parse_chain(options.chain)
    for step in steps:
        if isinstance(step, OWN_LEVEL_STEPS) and step.enabled:
            check_single_output(options, what=f"chain: {step.name} gives an output a level of its own")
    return options.model_copy(update={"chain": tuple(chain_as_json(steps))})


def check_single_output(options: EnhanceOptions, *, what: str) -> None:
    """InvalidOptions, which begins with `what` that is for one output alone, when the job would have several stems."""
    if options.model is None:
        return
    stems = options.stems or find_model(options.model).stems
    if len(stems) > 1:
        raise InvalidOptions(f"{what}; this job has {len(stems)} ({', '.join(stems)}). Choose one of them by stems.")


def _describe(error: ValidationError) -> str:
    parts = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        parts.append(f"{where} = {problem['input']!r}: {problem['msg']}")
    return "; ".join(parts) + "."

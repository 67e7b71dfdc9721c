"""Recipes: a small YAML file says what is trained, on which mixtures, with which losses and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, overload

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import InvalidOptions

RECIPES = Path(__file__).parent / "recipes"

Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SectionT = TypeVar("SectionT", bound=Section)


class SystemSection(Section):
    """What is trained, and what its weights may be called and used for."""

    name: str
    architecture: str
    arguments: dict[str, Any] = {}
    licence: str = "Apache-2.0"
    sample_rate: Annotated[int, Field(ge=8000)] = 16_000  # Hz
    start: Literal["random", "pass-through"] = "random"  # how a network is initialised, see training.initialisation
    reference_level_db: float | None = None  # dBFS RMS to which inputs are scaled at inference


class DataSection(Section):
    """Where the clips come from and how they are split, by source clip or speaker."""

    root: Path | None = None
    cache: Path | None = None  # decoded clips; None: inside the run's folder
    effects_from: tuple[str, ...] = ()  # sources whose noise clips are sound effects: programme, not noise
    validation_fraction: Probability = 0.1
    test_fraction: Probability = 0.1


class MixSection(Section):
    """How one example is mixed. Weights of `noises` need not sum to 1; a kind that is absent never occurs."""

    segment_samples: Annotated[int, Field(ge=256)]
    snr_db: Range = (-5.0, 20.0)
    domains: dict[Literal["speech", "effects", "music"], float] = {"speech": 1.0}  # what is to be kept, by weight
    snr_choices_db: tuple[float, ...] = ()  # when given, these instead of the range
    near_clean: Probability = 0.0  # share of examples at `near_clean_snr_db`
    near_clean_snr_db: Range = (25.0, 45.0)
    noises: dict[Literal["recorded", "shaped", "babble", "music", "record", "film"], float] = {"recorded": 1.0}
    layers: Annotated[int, Field(ge=1, le=4)] = 1  # at most so many noises at once
    speech_speed: Range = (1.0, 1.0)  # playing speed, which moves pitch and tempo together
    noise_speed: Range = (1.0, 1.0)
    reverb: Probability = 0.0
    early_ms: float = 50.0  # reflections later than this are to be removed
    high_shelf_db: float = 0.0  # speech and recorded noise above 2 kHz are raised or lowered by up to this
    pitch: Probability = 0.0  # of the speech, at its own tempo
    pitch_semitones: Range = (-2.0, 2.0)
    stretch: Probability = 0.0  # of the speech, at its own pitch
    stretch_tempo: Range = (0.8, 1.2)
    equaliser: Probability = 0.0  # of the speech, target included
    equaliser_db: Annotated[float, Field(ge=0, le=24)] = 6.0  # each band within +- this
    band_limit: Probability = 0.0
    codec: Probability = 0.0  # of the mixture, not of the target
    codecs: Annotated[tuple[Literal["mp3", "aac", "opus"], ...], Field(min_length=1)] = ("mp3", "aac", "opus")
    codec_kbps: tuple[Annotated[float, Field(ge=8)], Annotated[float, Field(le=320)]] = (24.0, 64.0)
    clipping: Probability = 0.0
    wow_flutter: Probability = 0.0  # unsteady speed of the programme, target included
    academy: Probability = 0.0  # Academy curve of films, on the programme or on the whole mixture, target included
    level_db: Range = (-36.0, -16.0)  # RMS of the mixture in dBFS
    remix: bool = False  # the noises of a batch change places
    band_mask: Probability = 0.0  # a band up to this share of the mel scale is taken from a batch, target included
    shift_samples: Annotated[int, Field(ge=0)] = 0  # segments are cut shorter by this, at a random place

    @model_validator(mode="after")
    def _keep_a_segment(self) -> MixSection:
        if self.shift_samples >= self.segment_samples:
            raise ValueError(f"shift_samples {self.shift_samples} leaves nothing of {self.segment_samples} samples")
        return self


class OptimiserSection(Section):
    """AdamW and its schedule, in optimiser steps."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["constant", "cosine", "step", "hold-decay"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    step_every: Annotated[int, Field(ge=1)] = 1000  # schedule "step"
    step_gamma: float = 0.5
    decay_fraction: Probability = 0.3  # schedule "hold-decay": the share of all steps that decays to 0
    clip_norm: float | None = 5.0
    clip_quantile: Probability | None = None  # of the gradient norms so far, in place of `clip_norm`; 1: the largest


class AdversarySection(Section):
    """Multi-scale STFT discriminators that learn beside the network, and what their judgement weighs in its loss."""

    scales: Annotated[tuple[int, ...], Field(min_length=1)] = (2048, 1024, 512, 256, 128)  # n_fft of each
    width: Annotated[int, Field(ge=1)] = 64  # channels
    updates: Annotated[int, Field(ge=1)] = 2  # of the discriminators, for each of the network
    crop_samples: Annotated[int, Field(ge=1)] | None = None  # what they hear of a segment, at a random place; None: all
    generator_weight: Annotated[float, Field(ge=0)] = 0.4
    feature_weight: Annotated[float, Field(ge=0)] = 20.0  # of feature matching
    optimiser: OptimiserSection = OptimiserSection(
        learning_rate=2e-4, betas=(0.5, 0.999), schedule="step", step_every=200, step_gamma=0.995, clip_norm=10.0
    )


class LoopSection(Section):
    """Length, validation and stopping of a run."""

    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 16
    accumulate: Annotated[int, Field(ge=1)] = 1  # parts in which a batch passes through the network, to save memory
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"  # float16 with a scaled loss
    processes: Annotated[int, Field(ge=1)] = 1  # of one thread each, on a CPU; the batch is shared out
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0  # 0: no averaging
    validate_every: Annotated[int, Field(ge=1)] = 250
    log_every: Annotated[int, Field(ge=1)] = 25
    patience: Annotated[int, Field(ge=1)] | None = None  # validations without a better score
    select_by: Literal["loss", "pesq", "estoi", "si_sdr_db", "perceptual_score", "sdr_db"] = "pesq"  # sdr_db: of stems
    max_minutes: float | None = None  # stop in good order after this; resume goes on
    freeze: tuple[str, ...] = ()  # shell patterns of parameter names that are not trained
    new_parts: tuple[str, ...] = ()  # shell patterns of parameter names that the initial weights may lack
    widen: bool = False  # band-split LSTMs: the initial weights may have fewer cells
    tensorboard: bool = False  # events in the run's folder; needs the extra `tensorboard`

    @model_validator(mode="after")
    def _share_out_evenly(self) -> LoopSection:
        if self.batch_size % (self.processes * self.accumulate):
            parts = f"processes {self.processes}" + (f" x accumulate {self.accumulate}" if self.accumulate > 1 else "")
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of {parts}")
        return self


class ValidationSection(Section):
    """The fixed mixtures that the run is judged by."""

    examples: Annotated[int, Field(ge=1)] = 24
    segment_s: Annotated[float, Field(gt=0)] = 4.0


class Recipe(Section):
    """Everything that a training run needs besides the audio."""

    task: Literal["enhancement"] = "enhancement"
    description: str
    system: SystemSection
    data: DataSection = DataSection()
    mix: MixSection
    losses: dict[str, float]  # weight by name, see training.losses
    opinion_waves: Annotated[int, Field(ge=1)] = 1  # of a batch, that the loss `opinion` hears
    optimiser: OptimiserSection = OptimiserSection()
    loop: LoopSection
    validation: ValidationSection = ValidationSection()

    @model_validator(mode="after")
    def _select_by_what_is_measured(self) -> Recipe:
        if self.loop.select_by == "sdr_db":
            raise ValueError("loop.select_by 'sdr_db' is of stems; choose pesq, estoi, si_sdr_db or perceptual_score")
        return self


def list_recipes() -> list[str]:
    """Return the names of the recipes that come with Limpid."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def read_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a recipe's file says, with `key=value` overrides (dotted keys, YAML values) applied."""
    path = Path(name_or_path) if name_or_path.endswith((".yaml", ".yml")) else RECIPES / f"{name_or_path}.yaml"
    if not path.is_file():
        raise InvalidOptions(f"There is no recipe {name_or_path!r}; known are {', '.join(list_recipes())}")
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    for override in overrides:
        _apply_override(record, override)
    return dict(record)


@overload
def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe: ...


@overload
def load_recipe(name_or_path: str, overrides: Sequence[str] = (), *, schema: type[SectionT]) -> SectionT: ...


def load_recipe(
    name_or_path: str, overrides: Sequence[str] = (), *, schema: type[Recipe] | type[SectionT] = Recipe
) -> Recipe | SectionT:
    """Return the recipe of this name or file with overrides applied; InvalidOptions names what does not fit."""
    record = read_recipe(name_or_path, overrides)
    try:
        return schema.model_validate(record)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise InvalidOptions(f"The recipe {name_or_path!r} is not valid: {faults}") from error


def _apply_override(record: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise InvalidOptions(f"An override has the form key=value, got {override!r}")
    *parents, last = key.split(".")
    node = record
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise InvalidOptions(f"{key!r} does not name a setting: {parent!r} has no parts")
    node[last] = yaml.safe_load(value)

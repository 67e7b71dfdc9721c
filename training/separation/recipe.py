"""Recipes for networks that take a mix apart into stems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from training.recipe import LoopSection, OptimiserSection, Probability, Range, Section, ValidationSection


class SeparatorSection(Section):
    """What is trained: an HTDemucs of the demucs package; `arguments` are those of its constructor."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    sample_rate: Annotated[int, Field(ge=8000)] = 44_100  # Hz
    licence: str = "Apache-2.0"


class StemsSection(Section):
    """Where the tracks are, and which file of a track belongs to which source.

    `sources` has shell patterns of file names without suffix, in the order of the network's outputs; `*` takes what no
    other source takes. Files of one source are summed; a source without files is silent in that track.
    """

    root: Path | None = None
    cache: Path | None = None  # decoded tracks; None: inside the run's folder
    sources: Annotated[dict[str, tuple[str, ...]], Field(min_length=2)]
    ignored: tuple[str, ...] = ("mix", "mixture")
    validation_fraction: Probability = 0.1
    test_fraction: Probability = 0.1


class StemMixSection(Section):
    """How one example is made of a track, or of several."""

    segment_s: Annotated[float, Field(gt=0)] = 10.0
    remix: Probability = 0.0  # share of examples whose sources come from different tracks and places
    gain_db: Range = (0.0, 0.0)  # of each source
    swap_channels: Probability = 0.0  # left and right, of each source
    flip_polarity: Probability = 0.0  # of each source
    pitch: Probability = 0.0  # of a track, all sources alike
    pitch_semitones: Range = (-2.0, 2.0)
    stretch: Probability = 0.0  # of a track, all sources alike
    stretch_tempo: Range = (0.8, 1.2)
    equaliser: Probability = 0.0  # of each source
    equaliser_db: Annotated[float, Field(ge=0, le=24)] = 6.0
    reverb: Probability = 0.0  # of each source
    reverb_s: Range = (0.2, 0.8)  # time in which the room decays by 60 dB
    reverb_level_db: Range = (-24.0, -8.0)  # of the room below the direct sound


class SeparationRecipe(Section):
    """Everything that a run needs besides the tracks."""

    task: Literal["separation"]
    description: str
    system: SeparatorSection
    stems: StemsSection
    mix: StemMixSection = StemMixSection()
    losses: dict[str, float]
    optimiser: OptimiserSection = OptimiserSection()
    loop: LoopSection
    validation: ValidationSection = ValidationSection()

    @model_validator(mode="after")
    def _fit_together(self) -> SeparationRecipe:
        if self.loop.select_by not in ("loss", "sdr_db"):
            raise ValueError(f"loop.select_by {self.loop.select_by!r} is not of stems; choose loss or sdr_db")
        if self.validation.segment_s > self.mix.segment_s:
            # The network's transformer has seen no longer ones, and fills shorter ones up.
            raise ValueError(
                f"validation.segment_s {self.validation.segment_s:g} is longer than mix.segment_s "
                f"{self.mix.segment_s:g}"
            )
        return self

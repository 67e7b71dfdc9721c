"""Recipes of generators: what they hear, how speech is degraded for them, what teaches them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from training.recipe import (
    AdversarySection,
    DataSection,
    LoopSection,
    MixSection,
    OptimiserSection,
    Probability,
    Section,
    ValidationSection,
)

INPUT_RATE = 16_000  # Hz; that of every generator's input
LENGTH_MULTIPLE = 1024  # of input samples

WavLmLayer = Literal["conv", "projected", "transformer_1"]


class GeneratorSection(Section):
    """What is trained, and what its weights may be called and used for."""

    name: str
    architecture: Literal["finally", "band-split-generator"]
    arguments: dict[str, Any] = Field(default_factory=dict)
    licence: str = "Apache-2.0"
    sample_rate: Literal[16_000, 48_000] = 16_000  # Hz, of the output
    reference_level_db: float | None = None  # dBFS RMS to which inputs are scaled at inference; None: peak of 1


class FeatureSection(Section):
    """What knows speech: WavLM from the models folder, or log-mel frames, which need no weights."""

    heard: Literal["none", "mel", "wavlm"] = "none"  # by the generator, beside the recording
    compared: Literal["mel", "wavlm"] = "mel"  # by the loss `speech_features`
    wavlm_loss_layer: WavLmLayer = "conv"
    models_dir: Path = Path("limpid-data/models")  # holds the folder wavlm-large


class DegradationSection(Section):
    """What becomes of clean speech: one impulse response, noise and a codec, in random order."""

    untouched: Probability = 0.03  # share of examples whose input is the target
    microphone: Probability = 0.4  # of the impulse responses; the others are rooms
    impulse_response: Probability = 1.0
    noise: Probability = 0.95
    codec: Probability = 0.5
    silence: Probability = 0.3  # silence at both ends of the target
    longest_silence: Probability = 0.7  # of the segment, both ends together
    all_silent: Probability = 0.3  # of the examples with silence
    level: Literal["peaks", "shared"] = "peaks"  # input and target each at a peak of 1, or at one level of the mix's


class GenerationRecipe(Section):
    """Everything that a training run of a generator needs besides the audio.

    Of `mix`, the noises, SNRs, levels and the changes of the speech itself count; `segment_samples` are of the output.
    """

    task: Literal["generation"]
    description: str
    system: GeneratorSection
    features: FeatureSection = FeatureSection()
    data: DataSection = DataSection()
    mix: MixSection
    degradation: DegradationSection = DegradationSection()
    losses: Annotated[dict[str, float], Field(min_length=1)]  # weight by name, see training.generation.losses
    opinion_waves: Annotated[int, Field(ge=1)] = 1  # of a batch, that the loss `opinion` hears
    adversary: AdversarySection | None = None  # None: regression alone
    optimiser: OptimiserSection = OptimiserSection()
    loop: LoopSection
    validation: ValidationSection = ValidationSection()

    @property
    def factor(self) -> int:
        """How many output samples there are for one of the input."""
        return self.system.sample_rate // INPUT_RATE

    @model_validator(mode="after")
    def _fit_the_networks(self) -> GenerationRecipe:
        if self.mix.segment_samples % (self.factor * LENGTH_MULTIPLE):
            raise ValueError(f"mix.segment_samples must be a multiple of {self.factor * LENGTH_MULTIPLE}")
        if self.mix.shift_samples or self.mix.remix or self.mix.band_mask:
            raise ValueError("mix.shift_samples, mix.remix and mix.band_mask are not for generators")
        if self.loop.select_by not in ("loss", "pesq", "estoi", "perceptual_score"):
            raise ValueError(f"loop.select_by {self.loop.select_by!r} is not measured of generators")
        return self

"""What the catalogue knows of a model without loading it: pure data, no PyTorch."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

BUNDLED_DIR = Path(__file__).parent / "models" / "weights"


class Architecture(StrEnum):
    """Which engine runs the model."""

    MASK_CNN = "mask-cnn"
    BAND_SPLIT_LSTM = "band-split-lstm"
    DEMUCS_CAUSAL = "demucs-causal"
    TWO_STAGE_UNET = "two-stage-unet"
    BAND_SPLIT_GENERATOR = "band-split-generator"
    FINALLY = "finally"
    DEMUCS = "demucs"


class Origin(StrEnum):
    """How the weights come to be on the machine."""

    BUNDLED = "bundled"  # part of the package
    PULLED = "pulled"  # fetched on request by `limpid models pull`
    TRAINED = "trained"  # by the operator: nobody publishes any


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """One published file. `sha256_prefix` are the leading hex digits that its publisher states; empty if none."""

    name: str
    url: str
    sha256_prefix: str
    bytes: int | None = None  # None: the publisher does not say


@dataclass(frozen=True, kw_only=True)
class Bag:
    """A demucs model: an average of member networks, each named by its signature.

    `weights` holds one row per member and one column per stem, None when all count alike. `segment_s` replaces the
    members' own segment length.
    """

    members: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] | None = None
    segment_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """What is known of a model without loading it."""

    name: str
    title: str
    architecture: Architecture
    origin: Origin
    sample_rate: int  # Hz
    channels: int  # that the engine takes at once
    stems: tuple[str, ...]
    licence: str
    notice: str  # what a user of the weights has to know, in a sentence or two
    source: str  # where the code, or the model card, is
    training_data: str = ""  # what the weights were trained on; empty where their publisher does not say
    cpu_rtf: float | None = None  # processing seconds per second of audio, one pass on one core; None: not known
    is_non_commercial: bool = False
    parameters: int | None = None
    files: tuple[WeightsFile, ...] = ()
    bag: Bag | None = None
    is_quantised: bool = False  # needs the package diffq besides demucs
    guarded_by: str | None = None  # of a generative model: the one that is heard where it departs from what was said
    needs: tuple[str, ...] = ()  # further files in the models folder, which are nobody's to fetch here
    recipes: tuple[str, ...] = ()  # of weights that the operator trains: from stage to stage

    def is_installed(self, models_dir: Path) -> bool:
        """True when every file that the engine needs is there; their content is checked on loading."""
        if not all((models_dir / name).is_file() for name in self.needs):
            return False
        if self.own_checkpoint(models_dir) is not None:
            return True
        folder = self.files_dir(models_dir)
        return bool(self.files) and all(
            (folder / file.name).is_file() or (self.bag is not None and safetensors_of(folder, file).is_file())
            for file in self.files
        )

    @property
    def how_to_get(self) -> str:
        """What the operator does to have the model, in a sentence."""
        if self.origin is Origin.BUNDLED:
            return "It comes with Limpid."
        if self.origin is Origin.TRAINED:
            stages = ", then ".join(f"limpid train {recipe}" for recipe in self.recipes)
            further = f", and {' and '.join(self.needs)}" if self.needs else ""
            return (
                f"Nobody publishes weights. Train them: {stages} (docs/training.md). "
                f"Put {self.name}.safetensors with its .json into the models folder{further}"
            )
        return f"limpid models pull {self.name}"

    def figures(self, models_dir: Path) -> dict[str, float]:
        """Return what the training run of our own weights measured, by name; empty for weights of others.

        Measures that found nothing to measure (nan) are left out: JSON has no word for them.
        """
        own = self.own_checkpoint(models_dir)
        try:
            metrics = {} if own is None else json.loads(own.with_suffix(".json").read_bytes())["metrics"]
        except (OSError, ValueError, KeyError):
            return {}  # a damaged card is reported on loading
        return {str(name): float(value) for name, value in metrics.items() if math.isfinite(float(value))}

    def own_checkpoint(self, models_dir: Path) -> Path | None:
        """Return our own weights of this model, bundled or in `models_dir`, when they and their card are there."""
        folder = BUNDLED_DIR if self.origin is Origin.BUNDLED else models_dir
        path = folder / f"{self.name}.safetensors"
        return path if path.is_file() and path.with_suffix(".json").is_file() else None

    def files_dir(self, models_dir: Path) -> Path:
        """Return the folder below `models_dir` that `files` are installed in."""
        return models_dir / "demucs" if self.bag is not None else models_dir


def safetensors_of(folder: Path, file: WeightsFile) -> Path:
    """Return where the safetensors form of a demucs member lies: its signature without the hash."""
    return folder / f"{file.name.partition('-')[0]}.safetensors"

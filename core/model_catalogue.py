"""The catalogue of models: what each is, where its weights come from, under which licence, whether it is installed.

Pure data without PyTorch, so that the API can list models. `core.enhancement.loader` turns a record into an engine,
`core.models.download` fetches its files.

Weights that are not bundled lie in the models folder:

    <models_dir>/<official file name>             released weights as published (dns48, dns64, master64)
    <models_dir>/<name>.safetensors, <name>.json  weights of our own training; they come before the released ones
    <models_dir>/demucs/<signature>-<hash>.th     members of the demucs models, or <signature>.safetensors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from core.errors import NotFound

BUNDLED_DIR = Path(__file__).parent / "models" / "weights"

DENOISER_URL = "https://dl.fbaipublicfiles.com/adiyoss/denoiser/"
DEMUCS_URL = "https://dl.fbaipublicfiles.com/demucs/"
TWO_STAGE_URL = "https://github.com/eloimoliner/denoising-historical-recordings/releases/download/v0.0/checkpoint.zip"


class Architecture(StrEnum):
    """Which engine runs the model."""

    MASK_CNN = "mask-cnn"
    BAND_SPLIT_LSTM = "band-split-lstm"
    DEMUCS_CAUSAL = "demucs-causal"
    TWO_STAGE_UNET = "two-stage-unet"
    DEMUCS = "demucs"


class Origin(StrEnum):
    """How the weights come to be on the machine."""

    BUNDLED = "bundled"  # part of the package
    PULLED = "pulled"  # fetched on request by `limpid models pull`


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
    is_non_commercial: bool = False
    parameters: int | None = None
    files: tuple[WeightsFile, ...] = ()
    bag: Bag | None = None
    is_quantised: bool = False  # needs the package diffq besides demucs

    def is_installed(self, models_dir: Path) -> bool:
        """True when every file that the engine needs is there; their content is checked on loading."""
        if self.own_checkpoint(models_dir) is not None:
            return True
        folder = self.files_dir(models_dir)
        return bool(self.files) and all(
            (folder / file.name).is_file() or (self.bag is not None and safetensors_of(folder, file).is_file())
            for file in self.files
        )

    def own_checkpoint(self, models_dir: Path) -> Path | None:
        """Return our own weights of this model, bundled or in `models_dir`, when they and their card are there."""
        folder = BUNDLED_DIR if self.origin is Origin.BUNDLED else models_dir
        path = folder / f"{self.name}.safetensors"
        return path if path.is_file() and path.with_suffix(".json").is_file() else None

    def files_dir(self, models_dir: Path) -> Path:
        """Return the folder below `models_dir` that `files` are installed in."""
        return models_dir / "demucs" if self.bag is not None else models_dir


@dataclass(frozen=True, kw_only=True)
class ModelAlias:
    """A name that customers use for a model that has another, with the settings that the name stands for."""

    name: str
    target: str
    shifts: int
    overlap: float
    note: str


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """A record and its state on this machine."""

    record: ModelRecord
    is_installed: bool


def safetensors_of(folder: Path, file: WeightsFile) -> Path:
    """Return where the safetensors form of a demucs member lies: its signature without the hash."""
    return folder / f"{file.name.partition('-')[0]}.safetensors"


def list_models(models_dir: Path) -> list[ListedModel]:
    """Return every model in the order of the catalogue."""
    return [ListedModel(record=record, is_installed=record.is_installed(models_dir)) for record in MODELS.values()]


def find_alias(name: str) -> ModelAlias | None:
    """Return the alias of this name, None when the name is no alias. Users are told when theirs was one."""
    return ALIASES.get(name)


def find_model(name: str) -> ModelRecord:
    """Return the record of a model or of an alias's target; NotFound, listing all names, when there is none."""
    alias = ALIASES.get(name)
    try:
        return MODELS[alias.target if alias else name]
    except KeyError:
        raise NotFound(f"There is no model {name!r}. Models: {', '.join([*MODELS, *ALIASES])}.") from None


def is_installed(name: str, models_dir: Path) -> bool:
    """Return whether a job could run this model (or alias); NotFound when there is no such model."""
    return find_model(name).is_installed(models_dir)


_DENOISER_NOTICE = (
    "The weights are licensed CC BY-NC 4.0: no commercial use. They were released by Meta Platforms with the code of "
    "facebookresearch/denoiser."
)
_DEMUCS_NOTICE = (
    "The code is MIT. The weights carry no licence of their own; they were trained on MUSDB-HQ, which is for research, "
    "and on further songs. Whether your use is covered is yours to decide."
)
_TWO_STAGE_NOTICE = (
    "Copyright 2021 Eloi Moliner Juanpere; code and weights are in one repository under the MIT licence. Trained for "
    "gramophone records of music. The publisher states no hash. Slow on a CPU: 71 million parameters."
)
_FOUR_STEMS = ("drums", "bass", "other", "vocals")
_ONE_HOT = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
_MDX_WEIGHTS = ((1.0, 1.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 1.0, 1.0), (1.0, 0.0, 1.0, 1.0))

# Member signature to the SHA-256 prefix of its file; each set is published in a folder of its own.
_HYBRID_TRANSFORMER = {
    "955717e8": "8726e21a",
    "f7e0c4bc": "ba3fe64a",
    "d12395a8": "e57c48e6",
    "92cfc3b6": "ef3bcb9c",
    "04573f0d": "f3cf25b2",
    "75fc33f5": "1941ce65",
    "5c90dfd2": "34c22ccb",
}
_MDX_FINAL = {
    "0d19c1c6": "0f06f20e",
    "5d2d6c55": "db83574e",
    "7d865c68": "3d5dd56b",
    "7ecf8ec1": "70f50cc9",
    "a1d90b5c": "ae9d2452",
    "c511e2ab": "fe698775",
    "cfa93e08": "61801ae1",
    "e51eebcc": "c1b80bdd",
    "6b9c2ca1": "3fd82607",
    "b72baf4e": "8778635e",
    "42e558d4": "196e0e1b",
    "305bc58f": "18378783",
    "14fc6a69": "a89dd0ee",
    "464b36d7": "e5a9386e",
    "7fd6ef75": "a905dd85",
    "83fc094f": "4a16d450",
    "1ef250f1": "592467ce",
    "902315c2": "b39ce9c9",
    "9a6b4851": "03af0aa6",
    "fa0cb7f9": "100d8bf4",
}


def _denoiser(name: str, *, title: str, parameters: int, file_hash: str) -> ModelRecord:
    file_name = f"{name}-{file_hash}.th"
    return ModelRecord(
        name=name,
        title=title,
        architecture=Architecture.DEMUCS_CAUSAL,
        origin=Origin.PULLED,
        sample_rate=16_000,
        channels=1,
        stems=("enhanced",),
        licence="CC-BY-NC-4.0",
        notice=_DENOISER_NOTICE,
        source="https://github.com/facebookresearch/denoiser",
        is_non_commercial=True,
        parameters=parameters,
        files=(WeightsFile(name=file_name, url=DENOISER_URL + file_name, sha256_prefix=file_hash),),
    )


def _demucs_file(signature: str) -> WeightsFile:
    is_transformer = signature in _HYBRID_TRANSFORMER
    file_hash = (_HYBRID_TRANSFORMER if is_transformer else _MDX_FINAL)[signature]
    name = f"{signature}-{file_hash}.th"
    folder = "hybrid_transformer/" if is_transformer else "mdx_final/"
    return WeightsFile(name=name, url=DEMUCS_URL + folder + name, sha256_prefix=file_hash)


def _demucs(
    name: str,
    title: str,
    bag: Bag,
    *,
    stems: tuple[str, ...] = _FOUR_STEMS,
    parameters: int | None = None,
    is_quantised: bool = False,
) -> ModelRecord:
    return ModelRecord(
        name=name,
        title=title,
        architecture=Architecture.DEMUCS,
        origin=Origin.PULLED,
        sample_rate=44_100,
        channels=2,
        stems=stems,
        licence="MIT (code)",
        notice=_DEMUCS_NOTICE,
        source="https://github.com/adefossez/demucs",
        parameters=parameters,
        files=tuple(_demucs_file(signature) for signature in dict.fromkeys(bag.members)),
        bag=bag,
        is_quantised=is_quantised,
    )


_RECORDS = (
    ModelRecord(
        name="limpid-speech",
        title="Band-split LSTM for speech, ours",
        architecture=Architecture.BAND_SPLIT_LSTM,
        origin=Origin.BUNDLED,
        sample_rate=16_000,
        channels=1,
        stems=("enhanced",),
        licence="Apache-2.0",
        notice="Trained by this project; the model card beside the weights names the recordings and their licences.",
        source="core/models/weights/limpid-speech.md",
        parameters=247_456,
    ),
    ModelRecord(
        name="cnn-mask",
        title="Small convolutional mask for speech, ours",
        architecture=Architecture.MASK_CNN,
        origin=Origin.BUNDLED,
        sample_rate=16_000,
        channels=1,
        stems=("enhanced",),
        licence="Apache-2.0",
        notice="Trained by this project; the model card beside the weights names the recordings and their licences.",
        source="core/models/weights/cnn-mask.md",
        parameters=74_881,
    ),
    _denoiser(
        "dns48",
        title="Causal Demucs for speech, 48 channels",
        parameters=18_867_937,
        file_hash="11decc9d8e3f0998",
    ),
    _denoiser(
        "dns64",
        title="Causal Demucs for speech, 64 channels",
        parameters=33_533_569,
        file_hash="a7761ff99a7d5bb6",
    ),
    _denoiser(
        "master64",
        title="The same, trained on more data",
        parameters=33_533_569,
        file_hash="8a5dfb4bb92753dd",
    ),
    ModelRecord(
        name="two-stage-unet",
        title="Two-stage U-Net for gramophone records, the authors' weights",
        architecture=Architecture.TWO_STAGE_UNET,
        origin=Origin.PULLED,
        sample_rate=44_100,
        channels=1,
        stems=("enhanced",),
        licence="MIT",
        notice=_TWO_STAGE_NOTICE,
        source="https://github.com/eloimoliner/denoising-historical-recordings",
        parameters=71_408_196,
        files=(WeightsFile(name="two-stage-unet-checkpoint.zip", url=TWO_STAGE_URL, sha256_prefix=""),),
    ),
    _demucs("htdemucs", "Four stems: Hybrid Transformer Demucs", Bag(members=("955717e8",)), parameters=41_984_456),
    _demucs(
        "htdemucs_ft",
        "Four stems, a fine-tuned network for each",
        Bag(members=("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"), weights=_ONE_HOT),
        parameters=4 * 41_984_456,
    ),
    _demucs(
        "htdemucs_6s",
        "Six stems; the piano is weak",
        Bag(members=("5c90dfd2",)),
        stems=(*_FOUR_STEMS, "guitar", "piano"),
    ),
    _demucs("hdemucs_mmi", "Four stems: Hybrid Demucs v3, retrained", Bag(members=("75fc33f5",), segment_s=44)),
    _demucs(
        "mdx",
        "Four stems: MDX 2021 challenge, track A",
        Bag(members=("0d19c1c6", "7ecf8ec1", "c511e2ab", "7d865c68"), weights=_MDX_WEIGHTS, segment_s=44),
    ),
    _demucs(
        "mdx_extra",
        "Four stems: MDX 2021 challenge, track B",
        Bag(members=("e51eebcc", "a1d90b5c", "5d2d6c55", "cfa93e08"), segment_s=44),
    ),
    _demucs(
        "mdx_q",
        "mdx, quantised",
        Bag(members=("6b9c2ca1", "b72baf4e", "42e558d4", "305bc58f"), weights=_MDX_WEIGHTS, segment_s=44),
        is_quantised=True,
    ),
    _demucs(
        "mdx_extra_q",
        "mdx_extra, quantised",
        Bag(members=("83fc094f", "464b36d7", "14fc6a69", "7fd6ef75"), segment_s=44),
        is_quantised=True,
    ),
    _demucs(
        "repro_mdx_a",
        "mdx, reproduced",
        Bag(members=("9a6b4851", "1ef250f1", "fa0cb7f9", "902315c2"), segment_s=44),
    ),
    _demucs(
        "repro_mdx_a_time_only",
        "mdx, reproduced: waveform networks only",
        Bag(members=("9a6b4851", "9a6b4851", "1ef250f1", "1ef250f1"), segment_s=44),
    ),
    _demucs(
        "repro_mdx_a_hybrid_only",
        "mdx, reproduced: hybrid networks only",
        Bag(members=("fa0cb7f9", "902315c2", "fa0cb7f9", "902315c2"), segment_s=44),
    ),
)

MODELS: Mapping[str, ModelRecord] = {record.name: record for record in _RECORDS}

ALIASES: Mapping[str, ModelAlias] = {
    "htdemucs_quantized": ModelAlias(
        name="htdemucs_quantized",
        target="htdemucs",
        shifts=0,
        overlap=0.1,
        note="There is no quantised htdemucs; htdemucs runs in its place, by default with shifts 0 and overlap 0.1.",
    ),
}

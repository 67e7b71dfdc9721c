"""The catalogue of models: what each is, where its weights come from, under which licence, whether it is installed.

Pure data without PyTorch, so that the API can list models. `core.enhancement.loader` turns a record into an engine,
`core.models.download` fetches its files.

Weights that are not bundled lie in the models folder:

    <models_dir>/<official file name>             released weights as published (dns48, dns64, master64)
    <models_dir>/<name>.safetensors, <name>.json  weights of our own training; they come before the released ones
    <models_dir>/demucs/<signature>-<hash>.th     members of the demucs models, or <signature>.safetensors
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.demucs_models import DEMUCS_RECORDS
from core.errors import InvalidOptions, NotFound
from core.model_record import Architecture as Architecture
from core.model_record import Bag as Bag
from core.model_record import ModelRecord as ModelRecord
from core.model_record import Origin as Origin
from core.model_record import WeightsFile as WeightsFile
from core.model_record import safetensors_of as safetensors_of

DENOISER_URL = "https://dl.fbaipublicfiles.com/adiyoss/denoiser/"
TWO_STAGE_URL = "https://github.com/eloimoliner/denoising-historical-recordings/releases/download/v0.0/checkpoint.zip"


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
    figures: Mapping[str, float]  # by name, of the weights that are here; empty where none are stated with them


def list_models(models_dir: Path) -> list[ListedModel]:
    """Return every model in the order of the catalogue."""
    return [
        ListedModel(record=record, is_installed=record.is_installed(models_dir), figures=record.figures(models_dir))
        for record in MODELS.values()
    ]


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
_TWO_STAGE_NOTICE = (
    "Copyright 2021 Eloi Moliner Juanpere; code and weights are in one repository under the MIT licence. Trained for "
    "gramophone records of music. The publisher states no hash. Slow on a CPU: 71 million parameters."
)

_FINALLY_NOTICE = (
    "Generative: a guard compares it with limpid-speech, which is heard where the two say different things. Neither "
    "the paper's authors nor those of the unofficial code publish weights. It hears WavLM-large "
    "(microsoft/wavlm-large, CC BY-SA 3.0 by its model card) and needs the package transformers."
)


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


def _bundled(
    name: str,
    *,
    title: str,
    architecture: Architecture,
    sample_rate: int,
    training_data: str,
    cpu_rtf: float,
    parameters: int,
    notice: str = "",
    guarded_by: str | None = None,
) -> ModelRecord:
    return ModelRecord(
        name=name,
        title=title,
        architecture=architecture,
        origin=Origin.BUNDLED,
        sample_rate=sample_rate,
        channels=1,
        stems=("enhanced",),
        licence="Apache-2.0",
        notice=f"{notice}Trained by this project; the model card beside the weights names the recordings and their "
        "licences.",
        source=f"core/models/weights/{name}.md",
        training_data=training_data,
        cpu_rtf=cpu_rtf,
        parameters=parameters,
        guarded_by=guarded_by,
    )


_RECORDS = (
    _bundled(
        "limpid-speech",
        title="Band-split LSTM for speech, ours",
        architecture=Architecture.BAND_SPLIT_LSTM,
        sample_rate=16_000,
        training_data="6 hours of speech, mostly English, with recorded and generated noise",
        cpu_rtf=0.02,
        parameters=357_696,
    ),
    _bundled(
        "cnn-mask",
        title="Small convolutional mask for speech, ours",
        architecture=Architecture.MASK_CNN,
        sample_rate=16_000,
        training_data="6 hours of speech, mostly English, with recorded and generated noise",
        cpu_rtf=0.14,
        parameters=74_881,
    ),
    _bundled(
        "limpid-film",
        title="Two-stage U-Net for film and archive sound, ours",
        architecture=Architecture.TWO_STAGE_UNET,
        sample_rate=44_100,
        training_data="speech, sound effects and music (60, 20 and 20 %) with generated film noise at 10 to 25 dB",
        cpu_rtf=0.2,
        parameters=352_212,
    ),
    _bundled(
        "limpid-studio",
        title="Small generator of studio-like speech behind limpid-speech, ours",
        architecture=Architecture.BAND_SPLIT_GENERATOR,
        sample_rate=16_000,
        training_data="6 hours of speech, mostly English, with noise, rooms, microphones and codecs",
        cpu_rtf=0.05,  # the guard's denoiser included
        parameters=706_320,
        notice="Generative: a guard compares it with limpid-speech, which is heard where the two differ. ",
        guarded_by="limpid-speech",
    ),
    ModelRecord(
        name="finally-48k",
        title="FINALLY, studio-like speech at 48 kHz",
        architecture=Architecture.FINALLY,
        origin=Origin.TRAINED,
        sample_rate=48_000,
        channels=1,
        stems=("enhanced",),
        licence="as trained",
        notice=_FINALLY_NOTICE,
        source="https://arxiv.org/abs/2410.05920",
        cpu_rtf=7.0,  # without WavLM, on two cores
        parameters=144_397_558,
        guarded_by="limpid-speech",
        needs=("wavlm-large/config.json", "wavlm-large/model.safetensors"),
        recipes=("finally-stage1", "finally-stage2", "finally-stage3"),
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
        training_data="MusicNet with the Gramophone Record Noise data set, at 2 to 20 dB",
        cpu_rtf=5.0,  # by its multiplications, from what the film configuration takes
        parameters=71_408_196,
        files=(WeightsFile(name="two-stage-unet-checkpoint.zip", url=TWO_STAGE_URL, sha256_prefix=""),),
    ),
    *DEMUCS_RECORDS,
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


def check_stems(stems: Sequence[str], *, available: Sequence[str], model: str) -> tuple[str, ...]:
    """Return `stems` as they are; InvalidOptions when one is unknown or named twice, or there is none."""
    unknown = sorted(set(stems) - set(available))
    if unknown or not stems or len(set(stems)) != len(stems):
        what = f"unknown: {', '.join(unknown)}" if unknown else "each may be named once, and one at least"
        raise InvalidOptions(f"stems = {', '.join(stems)} ({what}). Stems of {model}: {', '.join(available)}.")
    return tuple(stems)

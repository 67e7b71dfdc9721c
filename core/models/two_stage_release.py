"""Converts checkpoints of the two-stage U-Net's original TensorFlow code into ours, without TensorFlow.

Moliner and Valimaki publish theirs as a ZIP of a TensorFlow checkpoint; those who trained with their code, or with the
film adaptation, have the same files in a folder. Tensor names are attribute paths of the Keras objects; depth and
convolutions follow from them.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.errors import ModelUnavailable
from core.models.checkpoints import CheckpointCard, save_checkpoint
from core.models.tensor_bundle import BundleError, read_index, read_tensor
from core.models.two_stage_unet import TwoStageUNet

ARCHITECTURE = "two-stage-unet"
SAMPLE_RATE = 44_100
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
MAX_BYTES = 2 * 1024**3
"""The published checkpoint has 286 MB; this ends what a forged archive could unpack to."""

_FIRST_LAYER = "conv2d_1/kernel"
_STAGES = {"stage1": ("conv2d_1", "encoder_s1", "decoder_s1"), "stage2": ("conv2d_2", "encoder_s2", "decoder_s2")}
_SINGLE_LAYERS = {
    "head": "finalblock/conv2",
    "sam.feature": "sam_1/conv1",
    "sam.residual": "sam_1/conv2",
    "sam.mask": "sam_1/conv3",
}


def layer_names(*, depth: int, convolutions: int) -> dict[str, str]:
    """Return the original's layer path for each of our layers, such as "stage1.stem": "conv2d_1"."""
    names = dict(_SINGLE_LAYERS)

    def add_block(ours: str, theirs: str) -> None:
        for number in range(convolutions):
            names[f"{ours}.tfc.{number}"] = f"{theirs}/tfc/H/{number}"
        names[f"{ours}.proj"] = f"{theirs}/conv2d_res"

    for stage, (stem, encoder, decoder) in _STAGES.items():
        names[f"{stage}.stem"] = stem
        for level in range(depth):
            names[f"{stage}.unet.encoder.{level}.down"] = f"{encoder}/eblocks/{level}/conv2d_2"
            names[f"{stage}.unet.decoder.{level}.up"] = f"{decoder}/dblocks/{level}/tconv_1"
            names[f"{stage}.unet.decoder.{level}.proj"] = f"{decoder}/dblocks/{level}/projection"
            add_block(f"{stage}.unet.encoder.{level}.block", f"{encoder}/eblocks/{level}/i_block")
            add_block(f"{stage}.unet.decoder.{level}.block", f"{decoder}/dblocks/{level}/i_block")
        add_block(f"{stage}.unet.bottleneck", f"{encoder}/i_block")
    return names


def convert_checkpoint(source: Path, *, name: str, target: Path) -> CheckpointCard:
    """Write the weights of the TensorFlow checkpoint `source` to `target` with a card; return the card.

    `source` is a ZIP, a folder, or the common prefix of the files. ModelUnavailable when it is no such checkpoint or
    its tensors are not those of a two-stage U-Net.
    """
    index, shards = _read_files(source)
    digest = hashlib.sha256(index)
    for _, data in sorted(shards.items()):
        digest.update(data)
    try:
        arguments, state = convert_tensors(index, shards)
    except BundleError as error:
        raise ModelUnavailable(f"{source.name!r} cannot be converted: {error}") from error
    with torch.device("meta"):
        expected = {key: tensor.shape for key, tensor in TwoStageUNet(**arguments).state_dict().items()}
    found = {key: tensor.shape for key, tensor in state.items()}
    if found != expected:
        wrong = sorted(key for key in {*expected, *found} if expected.get(key) != found.get(key))
        raise ModelUnavailable(
            f"{source.name!r} is no two-stage U-Net of known widths: {len(wrong)} tensors differ, first {wrong[0]!r}"
        )
    card = CheckpointCard(
        name=name,
        architecture=ARCHITECTURE,
        arguments=arguments,
        sample_rate=SAMPLE_RATE,
        licence="MIT",
        run_id=f"tensorflow-{digest.hexdigest()[:16]}",
    )
    return save_checkpoint(target, state, card=card)


def convert_tensors(index: bytes, shards: Mapping[int, bytes]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return constructor arguments and state dict of our network; BundleError for other files than described above.

    Kernels are (height, width, in, out), transposed ones (height, width, out, in), height being time: either becomes
    ours by reversing the axes in pairs.
    """
    entries = {
        key.removesuffix(SUFFIX): entry
        for key, entry in read_index(index).items()
        if key.endswith(SUFFIX) and ".OPTIMIZER_SLOT" not in key
    }
    roots = [key.removesuffix(_FIRST_LAYER) for key in entries if key.endswith(_FIRST_LAYER)]
    if len(roots) != 1:
        raise BundleError(f"it holds {len(roots)} layers called conv2d_1, expected the stem of stage 1 alone")
    inside = {key.removeprefix(roots[0]): entry for key, entry in entries.items() if key.startswith(roots[0])}
    arguments = {
        "depth": _count(inside, r"encoder_s1/eblocks/(\d+)/conv2d_2/kernel"),
        "convolutions": _count(inside, r"encoder_s1/i_block/tfc/H/(\d+)/kernel"),
    }
    state = {}
    for ours, theirs in layer_names(**arguments).items():
        for parameter, variable in (("weight", "kernel"), ("bias", "bias")):
            entry = inside.get(f"{theirs}/{variable}")
            if entry is None:
                continue  # a projection is built where widths differ; what is missing otherwise, the shapes tell
            values = read_tensor(entry, shards)
            if values.ndim == 4:
                values = values.transpose(3, 2, 0, 1)
            state[f"{ours}.{parameter}"] = torch.from_numpy(np.array(values, dtype=np.float32))
    return arguments, state


def _count(names: Mapping[str, object], pattern: str) -> int:
    return len({match[1] for name in names if (match := re.fullmatch(pattern, name))})


def _read_files(source: Path) -> tuple[bytes, dict[int, bytes]]:
    """Return the bytes of the index file and of the data files by number."""
    try:
        files = dict(_members_of_zip(source) if zipfile.is_zipfile(source) else _files_of_prefix(source))
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(f"{source.name!r} cannot be read ({type(error).__name__})") from error
    indices = [data for name, data in files.items() if name.endswith(".index")]
    shards = {
        int(match[1]): data for name, data in files.items() if (match := re.search(r"\.data-(\d+)-of-\d+$", name))
    }
    if len(indices) != 1 or not shards:
        raise ModelUnavailable(f"{source.name!r} holds no TensorFlow checkpoint: expected one .index and .data files")
    return indices[0], shards


def _is_part(name: str) -> bool:
    return name.endswith(".index") or ".data-" in name


def _members_of_zip(source: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(source) as archive:
        members = [
            member
            for member in archive.infolist()
            if _is_part(member.filename) and "__MACOSX" not in PurePosixPath(member.filename).parts
        ]
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise ModelUnavailable(f"{source.name!r} unpacks to more than {MAX_BYTES} bytes")
        for member in members:
            yield member.filename, archive.read(member)


def _files_of_prefix(source: Path) -> Iterator[tuple[str, bytes]]:
    folder, prefix = (source, "") if source.is_dir() else (source.parent, f"{source.name}.")
    for path in sorted(folder.iterdir()):
        if path.name.startswith(prefix) and _is_part(path.name):
            yield path.name, path.read_bytes()

"""Converting checkpoints of the original TensorFlow code: names, layouts, what is refused."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.errors import ModelUnavailable
from core.models import two_stage_release
from core.models.checkpoints import load_model
from core.models.tensor_bundle import BundleError, read_index, read_tensor
from core.models.two_stage_release import convert_checkpoint, layer_names
from core.models.two_stage_unet import VARIANTS, TwoStageUNet
from tests.tensor_bundles import write_bundle, zip_bundle

ROOT = "layer_with_weights-0/"
END = "/.ATTRIBUTES/VARIABLE_VALUE"

Tensors = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def network() -> TwoStageUNet:
    torch.manual_seed(0)
    network = TwoStageUNet(**VARIANTS["film"]).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network


@pytest.fixture
def tensors(network: TwoStageUNet) -> Tensors:
    """The network's weights as the original code saves them, beside what else is in such a file."""
    weights = dict(network.named_parameters())
    saved: Tensors = {}
    for ours, theirs in layer_names(**VARIANTS["film"]).items():
        if f"{ours}.weight" in weights:
            kernel = weights[f"{ours}.weight"].detach().numpy()
            saved[f"{ROOT}{theirs}/kernel{END}"] = kernel.transpose(2, 3, 1, 0)
            saved[f"{ROOT}{theirs}/bias{END}"] = weights[f"{ours}.bias"].detach().numpy()
    saved[f"save_counter{END}"] = np.ones((), np.float32)
    saved[f"{ROOT}conv2d_1/kernel/.OPTIMIZER_SLOT/optimizer/m{END}"] = np.zeros((7, 7, 12, 32), np.float32)
    return saved


def write(folder: Path, tensors: Mapping[str, NDArray[np.float32]]) -> Path:
    write_bundle(folder / "checkpoint", tensors)
    return folder / "checkpoint"


@pytest.mark.parametrize("form", ["prefix", "folder", "zip"])
def test_converted_network_equals_the_one_that_was_saved(
    network: TwoStageUNet, tensors: Tensors, tmp_path: Path, form: str
) -> None:
    prefix = write(tmp_path, tensors)
    source = {"prefix": prefix, "folder": tmp_path, "zip": tmp_path / "checkpoint.zip"}[form]
    if form == "zip":
        zip_bundle(prefix, source)

    card = convert_checkpoint(source, name="two-stage-unet", target=tmp_path / "out" / "two-stage-unet.safetensors")

    path = tmp_path / "out" / "two-stage-unet.safetensors"
    loaded, converted = load_model(path, architecture="two-stage-unet", build=TwoStageUNet)
    assert loaded == card
    assert (card.licence, card.sample_rate, card.reference_level_db) == ("MIT", 44_100, None)
    assert card.arguments == VARIANTS["film"]
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(converted.get_parameter(name), parameter, rtol=0, atol=0)


def test_every_layer_of_the_original_release_has_a_name() -> None:
    with torch.device("meta"):
        keys = {key.rpartition(".")[0] for key in TwoStageUNet(**VARIANTS["original"]).state_dict()}

    names = layer_names(**VARIANTS["original"])

    assert keys <= set(names)
    assert len(set(names.values())) == len(names)
    # Where two levels have the same width, there is a name for the projection but no layer.
    assert all(name.endswith(".proj") for name in set(names) - keys)


def test_kernels_keep_their_orientation(tmp_path: Path, tensors: Tensors) -> None:
    kernel = np.zeros((3, 3, 32, 2), np.float32)
    kernel[2, 0, 7, 1] = 1.0  # the next frame, the bin below, input 7, output 1
    tensors[f"{ROOT}finalblock/conv2/kernel{END}"] = kernel
    target = tmp_path / "two-stage-unet.safetensors"

    convert_checkpoint(write(tmp_path, tensors), name="two-stage-unet", target=target)

    _, converted = load_model(target, architecture="two-stage-unet", build=TwoStageUNet)
    assert converted.head.weight.nonzero().tolist() == [[1, 7, 2, 0]]


def test_missing_tensor_is_named(tmp_path: Path, tensors: Tensors) -> None:
    del tensors[f"{ROOT}sam_1/conv3/bias{END}"]

    with pytest.raises(ModelUnavailable, match=r"1 tensors differ, first 'sam\.mask\.bias'"):
        convert_checkpoint(write(tmp_path, tensors), name="x", target=tmp_path / "x.safetensors")

    assert not (tmp_path / "x.safetensors").exists()


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    prefix = write(tmp_path, {f"dense/kernel{END}": np.zeros((2, 2), np.float32)})

    with pytest.raises(ModelUnavailable, match="holds 0 layers called conv2d_1"):
        convert_checkpoint(prefix, name="x", target=tmp_path / "x.safetensors")


def test_compressed_index_is_refused(tmp_path: Path, tensors: Tensors) -> None:
    write_bundle(tmp_path / "checkpoint", tensors, compression=1)

    with pytest.raises(ModelUnavailable, match="compressed; only plain ones"):
        convert_checkpoint(tmp_path, name="x", target=tmp_path / "x.safetensors")


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_damaged_index_is_refused(tmp_path: Path, tensors: Tensors, damage: str) -> None:
    index = Path(f"{write(tmp_path, tensors)}.index")
    index.write_bytes(b"not a table" if damage == "text" else index.read_bytes()[:2000])

    with pytest.raises(ModelUnavailable, match="cannot be converted"):
        convert_checkpoint(tmp_path, name="x", target=tmp_path / "x.safetensors")


def test_data_file_that_ends_early_is_refused(tmp_path: Path, tensors: Tensors) -> None:
    data = Path(f"{write(tmp_path, tensors)}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:1000])

    with pytest.raises(ModelUnavailable, match="ends before the tensor does"):
        convert_checkpoint(tmp_path, name="x", target=tmp_path / "x.safetensors")


def test_archive_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "other.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("readme.txt", "nothing here")

    with pytest.raises(ModelUnavailable, match="holds no TensorFlow checkpoint"):
        convert_checkpoint(archive, name="x", target=tmp_path / "x.safetensors")


def test_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    zip_bundle(write(tmp_path, tensors), tmp_path / "large.zip")
    monkeypatch.setattr(two_stage_release, "MAX_BYTES", 1000)

    with pytest.raises(ModelUnavailable, match="more than 1000 bytes"):
        convert_checkpoint(tmp_path / "large.zip", name="x", target=tmp_path / "x.safetensors")


def test_bundle_reader_finds_every_tensor_over_many_blocks(tmp_path: Path) -> None:
    expected = {f"layer/{number:04d}/kernel": np.full((number % 3, 2), number, np.float32) for number in range(400)}
    write_bundle(tmp_path / "b", expected)

    entries = read_index((tmp_path / "b.index").read_bytes())
    shards = {0: (tmp_path / "b.data-00000-of-00001").read_bytes()}

    assert list(entries) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(read_tensor(entries[name], shards), values)


def test_bundle_reader_refuses_other_types_than_float32(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", {"x": np.zeros(3, np.float32)})
    index = (tmp_path / "b.index").read_bytes()
    entry = read_index(index.replace(b"\x08\x01\x12\x04", b"\x08\x03\x12\x04"))["x"]

    with pytest.raises(BundleError, match="type 3"):
        read_tensor(entry, {0: bytes(12)})

"""Released weights: verified by hash, and never able to run anything."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from core.errors import ModelUnavailable
from core.models.released import read_demucs_pickle, read_demucs_safetensors, read_state_dict

STATE = {"weight": torch.arange(6, dtype=torch.float32).reshape(2, 3), "bias": torch.ones(2)}
SOURCES = ["drums", "bass", "other", "vocals"]


class RunsOnUnpickling:
    """Makes the folder `touched` when a careless reader unpickles it."""

    def __init__(self, touched: Path) -> None:
        self._touched = touched

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self._touched),)


def small_network() -> HTDemucs:
    torch.manual_seed(0)
    settings = {"channels": 8, "t_layers": 1, "t_heads": 2, "bottom_channels": 0, "nfft": 2048}
    network: HTDemucs = HTDemucs(SOURCES, segment=Fraction(39, 5), **settings)
    return network


def demucs_package() -> dict[str, Any]:
    """Return what demucs saves, with the NumPy scalars and fractions that its released files hold."""
    network = small_network()
    args, kwargs = cast("tuple[Any, Any]", network._init_args_kwargs)
    return {
        "klass": HTDemucs,
        "args": args,
        "kwargs": kwargs,
        "state": {key: tensor.half() for key, tensor in network.state_dict().items()},
        "training_args": {"lr": np.float64(3e-4), "best": np.float32(1.5), "seed": np.int64(42), "tags": ["a", None]},
    }


def save(path: Path, content: object) -> str:
    """Write `content` as PyTorch does; return the SHA-256."""
    torch.save(content, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_state_dict_is_read_with_its_hash(tmp_path: Path) -> None:
    digest = save(tmp_path / "weights.th", STATE)

    state, read_digest = read_state_dict(tmp_path / "weights.th", model="dns48", sha256_prefix=digest[:16])

    assert read_digest == digest
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


def test_wrong_hash_is_refused_without_naming_the_folder(tmp_path: Path) -> None:
    save(tmp_path / "weights.th", STATE)

    with pytest.raises(ModelUnavailable, match=r"do not verify.*expected 11decc9d8e3f0998.*pull dns48") as caught:
        read_state_dict(tmp_path / "weights.th", model="dns48", sha256_prefix="11decc9d8e3f0998")

    assert str(tmp_path) not in str(caught.value)


def test_missing_file_is_reported_without_naming_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="'dns48' cannot be read") as caught:
        read_state_dict(tmp_path / "weights.th", model="dns48", sha256_prefix="")

    assert str(tmp_path) not in str(caught.value)


def test_pickled_code_in_a_state_dict_is_refused_and_does_not_run(tmp_path: Path) -> None:
    save(tmp_path / "weights.th", {**STATE, "extra": RunsOnUnpickling(tmp_path / "touched")})

    with pytest.raises(ModelUnavailable, match="hold more than tensors"):
        read_state_dict(tmp_path / "weights.th", model="dns48", sha256_prefix="")

    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "content", [[torch.ones(1)], {"weight": "text"}, {1: torch.ones(1)}, {"a": {"b": torch.ones(1)}}]
)
def test_what_is_no_mapping_of_names_to_tensors_is_refused(tmp_path: Path, content: object) -> None:
    save(tmp_path / "weights.th", content)

    with pytest.raises(ModelUnavailable, match="no mapping of names to tensors"):
        read_state_dict(tmp_path / "weights.th", model="dns48", sha256_prefix="")


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"PK\x03\x04 truncated"])
def test_what_is_no_pytorch_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "weights.th").write_bytes(data)

    with pytest.raises(ModelUnavailable, match="no PyTorch file"):
        read_state_dict(tmp_path / "weights.th", model="dns48", sha256_prefix="")


def test_demucs_file_gives_the_network_it_holds(tmp_path: Path) -> None:
    digest = save(tmp_path / "member.th", demucs_package())

    network, read_digest = read_demucs_pickle(tmp_path / "member.th", model="htdemucs", sha256_prefix=digest[:8])

    assert read_digest == digest
    assert isinstance(network, HTDemucs)
    assert network.segment == Fraction(39, 5)
    expected = {key: tensor.half().float() for key, tensor in small_network().state_dict().items()}
    assert all(torch.equal(tensor, expected[key]) for key, tensor in network.state_dict().items())


def test_demucs_file_written_under_numpy_1_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "member.th"
    save(path, demucs_package())
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert any(b"numpy._core.multiarray" in data for data in entries.values())

    network, _ = read_demucs_pickle(path, model="htdemucs", sha256_prefix="")

    assert network.sources == SOURCES


def test_pickled_code_in_a_demucs_file_is_refused_and_does_not_run(tmp_path: Path) -> None:
    package = demucs_package() | {"training_args": RunsOnUnpickling(tmp_path / "touched")}
    digest = save(tmp_path / "member.th", package)

    with pytest.raises(ModelUnavailable, match="hold more than tensors"):
        read_demucs_pickle(tmp_path / "member.th", model="htdemucs", sha256_prefix=digest[:8])

    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [STATE, {**demucs_package(), "klass": Fraction}])
def test_file_that_is_no_demucs_model_is_refused(tmp_path: Path, content: object) -> None:
    save(tmp_path / "member.th", content)

    with pytest.raises(ModelUnavailable, match="no demucs model"):
        read_demucs_pickle(tmp_path / "member.th", model="htdemucs", sha256_prefix="")


def test_exit_of_the_package_becomes_an_error(tmp_path: Path) -> None:
    package = demucs_package() | {"state": {"__quantized": True}}  # demucs wants diffq then, and exits without it
    save(tmp_path / "member.th", package)

    with pytest.raises(ModelUnavailable, match="demucs cannot load the model 'htdemucs'"):
        read_demucs_pickle(tmp_path / "member.th", model="htdemucs", sha256_prefix="")


def test_quantised_model_without_its_package_says_so(tmp_path: Path) -> None:
    save(tmp_path / "member.th", demucs_package())

    with pytest.raises(ModelUnavailable, match="'mdx_q' needs the package diffq"):
        read_demucs_pickle(tmp_path / "member.th", model="mdx_q", sha256_prefix="", is_quantised=True)


def save_as_safetensors(path: Path, **metadata: str) -> None:
    network = small_network()
    arguments = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": json.dumps([SOURCES]),
        "kwargs": json.dumps(
            {
                "channels": 8,
                "t_layers": 1,
                "t_heads": 2,
                "bottom_channels": 0,
                "nfft": 2048,
                "segment": {"_type": "fraction", "numerator": 39, "denominator": 5},
            }
        ),
    }
    save_file(network.state_dict(), path, metadata=arguments | metadata)


def test_safetensors_member_gives_the_network_it_holds(tmp_path: Path) -> None:
    save_as_safetensors(tmp_path / "member.safetensors")

    network, digest = read_demucs_safetensors(tmp_path / "member.safetensors", model="htdemucs")

    assert digest == hashlib.sha256((tmp_path / "member.safetensors").read_bytes()).hexdigest()
    assert isinstance(network, HTDemucs)
    expected = small_network().state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize("metadata", [{"klass": "os.mkdir"}, {"structure": '{"_class": "os.mkdir"}'}])
def test_safetensors_metadata_cannot_name_other_code(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_as_safetensors(tmp_path / "member.safetensors", **metadata)

    with pytest.raises(ModelUnavailable, match="a class other than demucs' own networks"):
        read_demucs_safetensors(tmp_path / "member.safetensors", model="htdemucs")


def test_safetensors_arguments_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    save_as_safetensors(tmp_path / "member.safetensors", args="[]")

    with pytest.raises(ModelUnavailable, match="demucs cannot load"):
        read_demucs_safetensors(tmp_path / "member.safetensors", model="htdemucs")


def test_broken_safetensors_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "member.safetensors").write_bytes(b"<html>")

    with pytest.raises(ModelUnavailable, match="no safetensors file"):
        read_demucs_safetensors(tmp_path / "member.safetensors", model="htdemucs")


def test_published_format_is_what_torch_saves() -> None:
    """Guards the fixtures above: a bare state dict in the zip format of PyTorch."""
    buffer = io.BytesIO()
    torch.save(STATE, buffer)

    assert zipfile.is_zipfile(buffer)

"""Checkpoints: what is saved comes back, what was tampered with does not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import ModelUnavailable
from core.models.checkpoints import CheckpointCard, card_path, load_checkpoint, load_model, save_checkpoint
from core.models.mask_cnn import MaskCnn

CARD = CheckpointCard(
    name="small",
    architecture="mask-cnn",
    arguments={"channels": [4, 4], "log_magnitude": False},
    sample_rate=16000,
    licence="Apache-2.0",
    run_id="0123456789ab",
    reference_level_db=-26.0,
    metrics={"pesq": 1.5},
)


def small_state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return MaskCnn(channels=(4, 4), log_magnitude=False).state_dict()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, small_state(), card=CARD)
    return path


def test_saved_tensors_and_card_come_back(saved: Path) -> None:
    card, state = load_checkpoint(saved)

    assert replace(card, weights_sha256="") == CARD
    assert len(card.weights_sha256) == 64
    assert {key: tensor.tolist() for key, tensor in state.items()} == {
        key: tensor.tolist() for key, tensor in small_state().items()
    }


def test_saving_leaves_no_temporary_files(saved: Path) -> None:
    assert sorted(path.name for path in saved.parent.iterdir()) == ["small.json", "small.safetensors"]


def test_network_is_rebuilt_from_the_card_in_evaluation_mode(saved: Path) -> None:
    _, network = load_model(saved, architecture="mask-cnn", build=MaskCnn)

    assert not network.training
    assert network.log_magnitude is False
    assert network.context_frames == 3


def test_changed_byte_in_the_weights_is_noticed(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)

    with pytest.raises(ModelUnavailable, match="'small' do not verify"):
        load_checkpoint(saved)


def test_weights_that_are_no_safetensors_are_refused(saved: Path) -> None:
    saved.write_bytes(b"no tensors here")
    record = json.loads(card_path(saved).read_bytes())
    record["weights_sha256"] = hashlib.sha256(b"no tensors here").hexdigest()
    card_path(saved).write_text(json.dumps(record))

    with pytest.raises(ModelUnavailable, match="no safetensors file"):
        load_checkpoint(saved)


@pytest.mark.parametrize("missing", ["small.json", "small.safetensors"])
def test_error_for_a_missing_file_names_the_model_and_no_path(saved: Path, missing: str) -> None:
    (saved.parent / missing).unlink()

    with pytest.raises(ModelUnavailable, match="'small'") as caught:
        load_checkpoint(saved)

    assert str(saved.parent) not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", '{"format_version": 99}', '{"format_version": 1, "name": "small"}'])
def test_card_that_cannot_be_understood_is_refused(saved: Path, content: str) -> None:
    card_path(saved).write_text(content)

    with pytest.raises(ModelUnavailable, match="'small'"):
        load_checkpoint(saved)


def test_another_architecture_is_refused(saved: Path) -> None:
    with pytest.raises(ModelUnavailable, match="'mask-cnn', expected 'demucs'"):
        load_model(saved, architecture="demucs", build=MaskCnn)


def test_tensors_that_do_not_fit_exactly_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    state = small_state()
    state["layers.99.weight"] = torch.zeros(1)
    save_checkpoint(path, state, card=CARD)

    with pytest.raises(ModelUnavailable, match="do not fit the network"):
        load_model(path, architecture="mask-cnn", build=MaskCnn)


def test_arguments_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, small_state(), card=replace(CARD, arguments={"depth": 3}))

    with pytest.raises(ModelUnavailable, match="arguments that do not fit"):
        load_model(path, architecture="mask-cnn", build=MaskCnn)

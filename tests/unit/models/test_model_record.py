"""What a record tells of the weights that are on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.model_catalogue import MODELS


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Return a models folder with weights of `finally-48k`, whose run could not measure everything."""
    (tmp_path / "finally-48k.safetensors").write_bytes(b"weights")
    card = {"metrics": {"step": 700, "validation_overall": 2.5, "validation_silence_db": float("nan")}}
    (tmp_path / "finally-48k.json").write_text(json.dumps(card))
    return tmp_path


def test_figures_that_were_not_measured_are_not_told(trained: Path) -> None:
    assert MODELS["finally-48k"].figures(trained) == {"step": 700.0, "validation_overall": 2.5}


def test_figures_of_a_damaged_card_are_none(trained: Path) -> None:
    (trained / "finally-48k.json").write_text("{")

    assert MODELS["finally-48k"].figures(trained) == {}

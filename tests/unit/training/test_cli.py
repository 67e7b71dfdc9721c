"""`limpid train` and `limpid evaluate` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from typer.testing import CliRunner

from cli.main import app
from core.models.checkpoints import CheckpointCard, save_checkpoint
from core.models.mask_cnn import MaskCnn
from training import evaluation
from training.recipe import list_recipes


@pytest.fixture(autouse=True)
def keep_thread_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands set the number of threads for their process, which is that of all tests here."""
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    card = CheckpointCard(
        name="tiny",
        architecture="mask-cnn",
        arguments={"channels": [2]},
        sample_rate=16000,
        licence="Apache-2.0",
        run_id="test",
    )
    save_checkpoint(path, MaskCnn(channels=(2,)).state_dict(), card=card)
    return path


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    wav = 0.1 * np.random.default_rng(0).standard_normal(16000)
    sf.write(root / "a.wav", wav, 16000)
    return root


def test_recipes_are_listed_with_what_they_do() -> None:
    result = CliRunner().invoke(app, ["train", "--list"])

    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == list_recipes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "no-such"], "There is no recipe 'no-such'"),
        (["train", "cnn-mask", "loop.stepz=3"], "loop.stepz"),
        (["train", "cnn-mask"], "data.root=FOLDER"),
        (["evaluate", "cnn-mask", "--data", "no-such-folder"], "no recordings"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    extra = ["--run-dir", str(tmp_path)] if arguments[0] == "train" else []

    result = CliRunner().invoke(app, [*arguments, *extra])

    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_training_without_a_recipe_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["train"]).exit_code == 2


def test_checkpoint_is_evaluated_into_json_and_a_page(
    checkpoint: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None)
    output = tmp_path / "page"

    result = CliRunner().invoke(
        app, ["evaluate", str(checkpoint), "--data", str(recordings), "--json", "-o", str(output)]
    )

    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert [file["name"] for file in record["tiny"]["files"]] == ["a"]
    assert json.loads((output / "results.json").read_text()) == record
    assert (output / "audio" / "tiny" / "a.wav").is_file()
    assert "audio/tiny/a.wav" in (output / "index.html").read_text()


def test_table_has_a_row_for_the_input_and_each_model(
    checkpoint: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None)

    result = CliRunner().invoke(app, ["evaluate", str(checkpoint), "--data", str(recordings)])

    assert result.exit_code == 0, result.stderr
    assert "noisy" in result.stdout
    assert "tiny" in result.stdout

"""A whole run on a corpus of a few generated clips: what it leaves behind, and that it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from core.errors import InvalidOptions
from core.models.checkpoints import load_model
from core.models.mask_cnn import MaskCnn
from training.recipe import Recipe, load_recipe
from training.run import train_recipe

QUICK = [
    "system.arguments={channels: [2, 2]}",
    "mix.segment_samples=4096",
    "loop.batch_size=1",
    "loop.steps=2",
    "loop.log_every=1",
    "loop.validate_every=2",
    "validation.examples=1",
    "validation.segment_s=1.0",
]


def quick_recipe(corpus: Path, *overrides: str) -> Recipe:
    fractions = ["data.validation_fraction=0.3", "data.test_fraction=0.3"]
    return load_recipe("cnn-mask", [f"data.root={corpus}", *fractions, *QUICK, *overrides])


def test_run_leaves_checkpoint_figures_and_pictures_and_resumes(speech_corpus: Path, tmp_path: Path) -> None:
    result = train_recipe(quick_recipe(speech_corpus), run_dir=tmp_path)

    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {
        "cnn-mask.json", "cnn-mask.safetensors", "curves.png", "history.csv", "recipe.yaml", "spectrogram_01.png",
        "state.pt", "test.json", "validations.csv",
    }  # fmt: skip
    card, _ = load_model(result.checkpoint, architecture="mask-cnn", build=MaskCnn)
    assert card.metrics["step"] == 2
    assert json.loads((tmp_path / "test.json").read_bytes())["loss"] == result.test.loss

    longer = train_recipe(quick_recipe(speech_corpus, "loop.steps=3"), run_dir=tmp_path)

    assert longer.steps == 3
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + 3


def test_run_that_an_older_version_began_is_resumed_with_the_measures_of_today(
    speech_corpus: Path, tmp_path: Path
) -> None:
    train_recipe(quick_recipe(speech_corpus), run_dir=tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for row in state["validation_rows"]:
        del row["estoi"]
    torch.save(state, tmp_path / "state.pt")

    train_recipe(quick_recipe(speech_corpus, "loop.steps=4"), run_dir=tmp_path)

    heading, first, last = (tmp_path / "validations.csv").read_text().splitlines()
    assert "estoi" in heading.split(",")
    assert first.endswith(",")
    assert not last.endswith(",")


def test_fine_tuning_starts_from_the_given_weights(speech_corpus: Path, tmp_path: Path) -> None:
    first = train_recipe(quick_recipe(speech_corpus), run_dir=tmp_path / "first")
    _, start = load_model(first.checkpoint, architecture="mask-cnn", build=MaskCnn)

    frozen = quick_recipe(
        speech_corpus, "loop.freeze=['*']", "loop.ema_decay=0", "loop.steps=1", "optimiser.weight_decay=0"
    )
    with pytest.raises(InvalidOptions, match="freezes every parameter"):
        train_recipe(frozen, run_dir=tmp_path / "frozen", initial=first.checkpoint)
    partly = quick_recipe(speech_corpus, "loop.freeze=['layers.0.*']", "loop.steps=1")
    second = train_recipe(partly, run_dir=tmp_path / "second", initial=first.checkpoint)

    _, end = load_model(second.checkpoint, architecture="mask-cnn", build=MaskCnn)
    torch.testing.assert_close(
        end.state_dict()["layers.0.weight"], start.state_dict()["layers.0.weight"], rtol=0, atol=0
    )


def test_run_without_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match=r"data\.root"):
        train_recipe(load_recipe("cnn-mask"), run_dir=tmp_path)

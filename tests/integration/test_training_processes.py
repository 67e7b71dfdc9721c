"""Training in real processes: what two of one thread learn is what one learns, and they go on where they stopped."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from core.errors import InvalidOptions
from training.recipe import Recipe, load_recipe
from training.run import train_recipe

TINY = [
    "system.arguments={n_fft: 512, hop_length: 256, width: 8, hidden: 8, blocks: 1}",
    "mix.segment_samples=8000",
    "loop.batch_size=4",
    "loop.precision=float32",
    "loop.log_every=1",
    "loop.validate_every=4",
    "optimiser.schedule=constant",
    "optimiser.warmup_steps=0",
    "mix.noises={recorded: 1.0}",
    "mix.reverb=0",
    "losses={compressed_spectrum: 1.0, snr: 0.005}",
    "validation.examples=1",
    "validation.segment_s=1.0",
    "data.validation_fraction=0.3",
    "data.test_fraction=0.3",
]


def tiny_recipe(corpus: Path, *, steps: int, processes: int) -> Recipe:
    return load_recipe("default", [f"data.root={corpus}", *TINY, f"loop.steps={steps}", f"loop.processes={processes}"])


def losses_in(run_dir: Path) -> list[float]:
    with (run_dir / "history.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_two_processes_learn_what_one_learns_and_resume(speech_corpus: Path, tmp_path: Path) -> None:
    train_recipe(tiny_recipe(speech_corpus, steps=4, processes=1), run_dir=tmp_path / "one")
    train_recipe(tiny_recipe(speech_corpus, steps=2, processes=2), run_dir=tmp_path / "two")
    result = train_recipe(tiny_recipe(speech_corpus, steps=4, processes=2), run_dir=tmp_path / "two")

    assert result.steps == 4
    assert losses_in(tmp_path / "two") == pytest.approx(losses_in(tmp_path / "one"), rel=1e-3)


def test_what_stops_another_process_is_said_and_leaves_none_behind(speech_corpus: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(speech_corpus, steps=4, processes=2)
    wrong = recipe.model_copy(update={"system": recipe.system.model_copy(update={"architecture": "none"})})

    with pytest.raises(InvalidOptions, match="Unknown architecture 'none'"):
        train_recipe(wrong, run_dir=tmp_path)

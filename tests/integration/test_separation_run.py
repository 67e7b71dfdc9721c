"""Whole runs of a separator: a small network learns two clips, resumes exactly, and can be used and refined."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from core.enhancement.htdemucs_checkpoint import build_htdemucs, checkpoint_arguments, load_separator
from core.enhancement.protocol import SignalStatistics
from core.errors import InvalidOptions
from tests.unit.training.stem_data import SAMPLE_RATE, organ, small_recipe, write_tracks
from training.separation.recipe import SeparationRecipe
from training.separation.run import train_separation
from training.tasks import load_any_recipe

SHORT = {"mix": {"segment_s": 0.5}, "validation": {"segment_s": 0.5, "examples": 1}}


def losses_in(run_dir: Path) -> list[float]:
    with (run_dir / "history.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_small_network_overfits_two_clips(tmp_path: Path) -> None:
    root = write_tracks(tmp_path / "tracks", seconds=1.0)
    recipe = small_recipe(
        root, **SHORT, loop={"steps": 60, "batch_size": 2}, optimiser={"learning_rate": 1e-2, "schedule": "constant"}
    )

    result = train_separation(recipe, run_dir=tmp_path / "run")

    losses = losses_in(tmp_path / "run")
    assert np.mean(losses[-4:]) < 0.45 * np.mean(losses[:4])
    assert result.test.sdr_gain_db > 1


def test_resumed_run_has_the_same_losses_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    root = write_tracks(tmp_path / "tracks", seconds=1.5)
    short = SHORT | {"mix": {"segment_s": 0.5, "pitch": 0.5, "remix": 0.5}}
    train_separation(small_recipe(root, **short, loop={"steps": 4}), run_dir=tmp_path / "whole")

    train_separation(small_recipe(root, **short, loop={"steps": 2}), run_dir=tmp_path / "parts")
    train_separation(small_recipe(root, **short, loop={"steps": 4}), run_dir=tmp_path / "parts")

    assert losses_in(tmp_path / "parts") == losses_in(tmp_path / "whole")


def test_trained_checkpoint_becomes_an_engine_and_a_start_for_another_run(tmp_path: Path) -> None:
    root = write_tracks(tmp_path / "tracks", seconds=1.0)
    first = train_separation(small_recipe(root, **SHORT), run_dir=tmp_path / "first")
    engine = load_separator(first.checkpoint)
    wav = organ(1.5).T.astype(np.float32)
    statistics = SignalStatistics(samples=wav.shape[1], mean=0.0, std=float(wav.std()), peak=float(wav.max()))

    stems = engine.enhance(wav, SAMPLE_RATE, statistics=statistics)

    assert engine.info.stems == ("drums", "other")
    assert stems.shape == (2, *wav.shape)
    assert np.isfinite(stems).all()
    still = small_recipe(root, **SHORT, loop={"steps": 1}, optimiser={"learning_rate": 1e-12, "schedule": "constant"})
    second = train_separation(still, run_dir=tmp_path / "second", initial=first.checkpoint)
    assert second.test.loss == pytest.approx(first.test.loss, rel=1e-3)


def test_weights_for_other_sources_are_refused_as_a_start(tmp_path: Path) -> None:
    root = write_tracks(tmp_path / "tracks", seconds=1.0)
    first = train_separation(small_recipe(root, **SHORT, loop={"steps": 1}), run_dir=tmp_path / "first")
    sources = {"drums": ["drums"], "bass": ["bass"], "other": ["*"]}
    three = small_recipe(root, **SHORT, stems={"root": root, "sources": sources})

    with pytest.raises(InvalidOptions, match="do not fit the recipe's network"):
        train_separation(three, run_dir=tmp_path / "second", initial=first.checkpoint)


def test_network_of_the_recipe_is_that_of_the_released_weights() -> None:
    recipe = load_any_recipe("htdemucs-finetune")
    assert isinstance(recipe, SeparationRecipe)

    with torch.device("meta"):
        network = build_htdemucs(
            **checkpoint_arguments(
                recipe.system.arguments, sources=list(recipe.stems.sources), sample_rate=44100, segment_s=10.0
            )
        )

    assert sum(parameter.numel() for parameter in network.parameters()) == 41_984_456
    assert network.sources == ["drums", "bass", "other", "vocals"]

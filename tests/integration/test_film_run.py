"""A whole run of the film recipe on generated clips: it goes on exactly where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from core.models.checkpoints import load_model
from core.models.two_stage_unet import TwoStageUNet
from training.recipe import load_recipe
from training.run import train_recipe

SAMPLE_RATE = 44_100


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    rng = np.random.default_rng(0)
    for kind in ("speech", "noise", "music", "effects"):
        (root / kind).mkdir(parents=True)
        for number in range(8):
            sf.write(root / kind / f"{number}.wav", 0.1 * rng.standard_normal(12_000), SAMPLE_RATE)
    return root


def test_film_recipe_trains_resumes_exactly_and_says_its_rate(corpus: Path, tmp_path: Path) -> None:
    quick = [
        f"data.root={corpus}", f"data.cache={tmp_path / 'clips'}", "data.validation_fraction=0.3",
        "data.test_fraction=0.3",
        "system.arguments={widths: [4, 4, 4, 4], n_fft: 256, hop_length: 64}", "mix.segment_samples=8192",
        "loop.batch_size=1", "loop.log_every=1", "validation.examples=1", "validation.segment_s=0.3",
    ]  # fmt: skip

    recipe = load_recipe("two-stage-unet", [*quick, "loop.steps=2"])
    stopped = load_recipe("two-stage-unet", [*quick, "loop.steps=2", "loop.max_minutes=0"])

    whole = train_recipe(recipe, run_dir=tmp_path / "whole")
    first = train_recipe(stopped, run_dir=tmp_path / "cut")
    resumed = train_recipe(recipe, run_dir=tmp_path / "cut")

    assert first.steps == 1
    assert whole.steps == resumed.steps == 2
    card, network = load_model(resumed.checkpoint, architecture="two-stage-unet", build=TwoStageUNet)
    _, expected = load_model(whole.checkpoint, architecture="two-stage-unet", build=TwoStageUNet)
    assert card.sample_rate == SAMPLE_RATE
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, expected.get_parameter(name), rtol=0, atol=0)

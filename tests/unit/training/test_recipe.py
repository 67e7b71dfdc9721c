"""Recipes: those that come with Limpid are valid, overrides work, mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.errors import InvalidOptions
from core.models.finally_speech.features import MelFeatures
from training.architectures import build_network
from training.generation.networks import build_generator
from training.generation.recipe import GenerationRecipe
from training.losses.combined import build_loss
from training.recipe import Recipe, list_recipes, load_recipe
from training.tasks import load_any_recipe


@pytest.mark.parametrize("name", list_recipes())
def test_bundled_recipe_describes_a_system_that_can_be_built(name: str) -> None:
    recipe = load_any_recipe(name)

    assert recipe.description
    if isinstance(recipe, GenerationRecipe):
        hears_features = recipe.features.heard != "none"
        with torch.device("meta"):  # FINALLY's own size would take half a gigabyte
            build_generator(recipe.system, features=MelFeatures() if hears_features else None)
        return
    if isinstance(recipe, Recipe):
        build_network(recipe.system.architecture, recipe.system.arguments)
    build_loss(recipe.losses)


def test_overrides_reach_nested_settings_with_yaml_types(tmp_path: Path) -> None:
    recipe = load_recipe("cnn-mask", ["loop.steps=7", "mix.snr_choices_db=[-5, 0, 5, 10]", f"data.root={tmp_path}"])

    assert recipe.loop.steps == 7
    assert recipe.mix.snr_choices_db == (-5, 0, 5, 10)
    assert recipe.data.root == tmp_path


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loop.step=7", "loop.step"),
        ("loop.steps=0", "loop.steps"),
        ("loop.steps", "key=value"),
        ("description.text=a", "has no parts"),
        ("mix.noises={wind: 1}", "mix.noises"),
    ],
)
def test_override_that_does_not_fit_is_named(override: str, message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        load_recipe("cnn-mask", [override])


def test_recipe_of_an_unknown_task_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="'dereverberation'"):
        load_any_recipe("cnn-mask", ["task=dereverberation"])


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("cnn-mask", "loop.select_by=sdr_db", "of stems"),
        ("htdemucs-finetune", "loop.select_by=pesq", "not of stems"),
        ("htdemucs-finetune", "mix.segment_s=5", "longer than mix.segment_s 5"),
        ("htdemucs-finetune", "mix.pitchh=1", "mix.pitchh"),
    ],
)
def test_setting_of_another_task_is_refused(name: str, override: str, message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        load_any_recipe(name, [override])


def test_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(InvalidOptions, match="cnn-mask"):
        load_recipe("no-such-recipe")


def test_recipe_can_be_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "description: mine\nsystem: {name: mine, architecture: mask-cnn}\nmix: {segment_samples: 8064}\n"
        "losses: {l1: 1.0}\nloop: {steps: 3}\n"
    )

    assert load_recipe(str(path)).system.name == "mine"


def test_unknown_architecture_or_argument_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="known are"):
        build_network("transformer", {})
    with pytest.raises(InvalidOptions, match="do not fit"):
        build_network("mask-cnn", {"depth": 3})

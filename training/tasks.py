"""What a recipe is for: `task` says by which kind of run it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.errors import InvalidOptions
from training.generation.recipe import GenerationRecipe
from training.generation.run import train_generation
from training.recipe import Recipe, load_recipe, read_recipe
from training.run import train_recipe
from training.separation.recipe import SeparationRecipe
from training.separation.run import train_separation

AnyRecipe = Recipe | SeparationRecipe | GenerationRecipe


class Figures(Protocol):
    """What a run reached on its test examples."""

    @property
    def summary(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run of any kind leaves."""

    checkpoint: Path
    test: Figures
    steps: int


def load_any_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Return the recipe of this name or file, of whichever task."""
    match read_recipe(name_or_path, overrides).get("task", "enhancement"):
        case "enhancement":
            return load_recipe(name_or_path, overrides)
        case "separation":
            return load_recipe(name_or_path, overrides, schema=SeparationRecipe)
        case "generation":
            return load_recipe(name_or_path, overrides, schema=GenerationRecipe)
        case other:
            known = "enhancement, separation, generation"
            raise InvalidOptions(f"The recipe {name_or_path!r} has the task {other!r}; known: {known}")


def data_setting(recipe_task: str) -> str:
    """Return the key that says where the audio of a recipe of this task is."""
    return "stems.root" if recipe_task == "separation" else "data.root"


def train(recipe: AnyRecipe, *, run_dir: Path, resume: bool = True, initial: Path | None = None) -> Outcome:
    """Train a recipe of any task in `run_dir`, see `train_recipe`, `train_separation`, `train_generation`."""
    if isinstance(recipe, SeparationRecipe):
        separated = train_separation(recipe, run_dir=run_dir, resume=resume, initial=initial)
        return Outcome(checkpoint=separated.checkpoint, test=separated.test, steps=separated.steps)
    if isinstance(recipe, GenerationRecipe):
        generated = train_generation(recipe, run_dir=run_dir, resume=resume, initial=initial)
        return Outcome(checkpoint=generated.checkpoint, test=generated.test, steps=generated.steps)
    enhanced = train_recipe(recipe, run_dir=run_dir, resume=resume, initial=initial)
    return Outcome(checkpoint=enhanced.checkpoint, test=enhanced.test, steps=enhanced.steps)

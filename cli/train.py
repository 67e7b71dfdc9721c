"""`limpid train RECIPE [key=value...]`: train a model by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Name of a recipe that comes with Limpid, or a YAML file.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings as key=value, such as loop.steps=500.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Corpus: manifest.json, or speech/ noise/ music/ rir/; or folders of stems.")
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of the run; limpid-data/training/MODEL if not given.")
    ] = None,
    initial: Annotated[Path | None, typer.Option(help="Checkpoint (.safetensors) to start from.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew instead of resuming the folder's run.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    list_only: Annotated[bool, typer.Option("--list", help="List the recipes and stop.")] = False,
) -> None:
    """Train a model by a recipe; stopped runs resume where they were."""
    from training.recipe import list_recipes, read_recipe

    if list_only:
        for name in list_recipes():
            typer.echo(f"{name}: {read_recipe(name)['description']}")
        return
    if recipe is None:
        raise typer.BadParameter("name a recipe, or use --list")

    import logging

    import torch
    from rich.console import Console
    from rich.logging import RichHandler

    from core.enhancement.blas import use_one_blas_thread
    from core.enhancement.heap import keep_freed_memory
    from training.tasks import data_setting, load_any_recipe
    from training.tasks import train as train_any

    handler = RichHandler(console=Console(stderr=True), show_path=False)
    logging.basicConfig(level="INFO", format="%(message)s", handlers=[handler])
    torch.set_num_threads(threads)
    use_one_blas_thread()
    keep_freed_memory()
    task = read_recipe(recipe).get("task", "enhancement")
    root = [] if data is None else [f"{data_setting(task)}={data}"]
    resolved = load_any_recipe(recipe, [*root, *(overrides or [])])
    folder = run_dir or Path("limpid-data/training") / resolved.system.name
    result = train_any(resolved, run_dir=folder, resume=not fresh, initial=initial)
    typer.echo(f"{result.checkpoint}: {result.steps} steps, test: {result.test.summary}")

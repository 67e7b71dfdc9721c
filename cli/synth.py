"""`limpid synth PLAN --data CORPUS --out DIR`: write fixed pairs of noisy and clean files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer


def synth(
    plan: Annotated[
        str | None, typer.Argument(help="A plan (see --list), a recipe, whose mixtures are written, or a YAML file.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings as key=value, such as pairs.train=500.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Corpus: manifest.json, or speech/ noise/ music/ rir/.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that receives the pairs.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    list_only: Annotated[bool, typer.Option("--list", help="List the plans and stop.")] = False,
) -> None:
    """Write fixed pairs of noisy and clean files, with a manifest that `limpid evaluate` reads."""
    from training.synthesis import list_plans, load_plan, write_pairs

    if list_only:
        for name in list_plans():
            typer.echo(f"{name}: {load_plan(name).description}")
        return
    if plan is None or out is None:
        raise typer.BadParameter("name a plan and a folder with --out, or use --list")
    root = [] if data is None else [f"data.root={data}"]
    resolved = load_plan(plan, [*root, *(overrides or [])])
    with tempfile.TemporaryDirectory(prefix="limpid-synth-") as cache:
        counts = write_pairs(resolved, out, seed=seed, cache=Path(cache))
    typer.echo(f"{out}: " + ", ".join(f"{count} {split}" for split, count in counts.items()))

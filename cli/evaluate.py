"""`limpid evaluate MODEL --data DIR`: measure models on recordings, or separators on stems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.configuration import load_settings

if TYPE_CHECKING:
    from training.evaluation import Evaluation
    from training.systems import System


def evaluate(
    models: Annotated[
        list[str], typer.Argument(help="Presets (with all that they do), models, or .safetensors files.")
    ],
    data: Annotated[Path, typer.Option(help="Folder with manifest.json, noisy/ and clean/, or recordings alone.")],
    stems: Annotated[bool, typer.Option("--stems", help="DATA holds tracks: folders of stems.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for JSON and a page to listen.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Measure one or more models on recordings, side by side; the others are compared with the first."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from core.enhancement.blas import use_one_blas_thread
    from core.enhancement.heap import keep_freed_memory
    from training.report import as_record, tables, write_html
    from training.systems import open_systems

    torch.set_num_threads(threads)
    use_one_blas_thread()
    keep_freed_memory()
    settings = load_settings()
    systems = open_systems(models, models_dir=settings.resolved_models_dir, operator=settings.operator_defaults)
    evaluations = (_evaluate_stems if stems else _evaluate_recordings)(systems, data, output=output)
    record = json.dumps(as_record(evaluations), indent=1)
    if output is not None:
        (output / "results.json").write_text(record + "\n", encoding="utf-8")
        write_html(output / "index.html", evaluations)
    if as_json:
        typer.echo(record)
        return
    console = Console()
    for title, content in tables(evaluations):
        table = Table(*content[0], title=title, title_justify="left", box=None)
        for row in content[1:]:
            table.add_row(*row)
        console.print(table)


def _evaluate_recordings(systems: Sequence[System], data: Path, *, output: Path | None) -> list[Evaluation]:
    from rich.console import Console

    from training.evaluation import evaluate as evaluate_system
    from training.pairs import read_pairs

    pairs = read_pairs(data)
    folder = None
    if output is not None:
        from training.listening import ListeningFolder  # loads matplotlib, which figures alone do not need

        folder = ListeningFolder(output)
    evaluations = []
    for system in systems:
        on_file = None if folder is None else partial(folder.add_output, system.name)
        with Console(stderr=True).status(f"{system.name}: {len(pairs)} recordings"):
            evaluations.append(evaluate_system(system.name, system.process, pairs, on_file=on_file))
    if folder is not None:
        folder.finish(pairs, [system.name for system in systems])
    return evaluations


def _evaluate_stems(systems: Sequence[System], data: Path, *, output: Path | None) -> list[Evaluation]:
    from rich.console import Console

    from core.errors import InvalidOptions
    from training.listening import StemListeningFolder
    from training.separation.evaluation import evaluate_stems

    evaluations = []
    folder = None
    for system in systems:
        if system.engine is None:
            raise InvalidOptions(f"{system.name} has no model that takes mixes apart")
        rate = system.engine.info.sample_rate
        folder = folder or (None if output is None else StemListeningFolder(output, sample_rate=rate))
        on_stem = None if folder is None else partial(folder.add_stem, system.name)
        with Console(stderr=True).status(f"{system.name}: stems"):
            evaluations.append(evaluate_stems(system.name, system.engine, data, on_stem=on_stem))
    if folder is not None:
        folder.finish([system.name for system in systems])
    return evaluations

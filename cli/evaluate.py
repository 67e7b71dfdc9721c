"""`limpid evaluate MODEL --data DIR`: measure models on recordings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.configuration import load_settings

if TYPE_CHECKING:
    from core.enhancement.protocol import Enhancer


def evaluate(
    models: Annotated[list[str], typer.Argument(help="Models, presets (their model) or .safetensors files.")],
    data: Annotated[Path, typer.Option(help="Folder with manifest.json, noisy/ and clean/, or recordings alone.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for JSON and a page to listen.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Measure one or more models on recordings, side by side."""
    import json

    import torch
    from rich.console import Console
    from rich.table import Table

    from training.evaluation import evaluate as evaluate_system
    from training.evaluation import process_with
    from training.listening import ListeningFolder
    from training.pairs import read_pairs
    from training.report import as_record, band_rows, rows, write_html

    torch.set_num_threads(threads)
    pairs = read_pairs(data)
    folder = None if output is None else ListeningFolder(output)
    evaluations = []
    for model in models:
        enhancer = _load(model)
        system = enhancer.info.name
        on_file = None if folder is None else partial(folder.add_output, system)
        with Console(stderr=True).status(f"{system}: {len(pairs)} recordings"):
            evaluations.append(evaluate_system(system, process_with(enhancer), pairs, on_file=on_file))
    record = json.dumps(as_record(evaluations), indent=1)
    if output is not None and folder is not None:
        (output / "results.json").write_text(record + "\n", encoding="utf-8")
        folder.finish(pairs, [evaluation.system for evaluation in evaluations])
        write_html(output / "index.html", evaluations)
    if as_json:
        typer.echo(record)
        return
    console = Console()
    for title, content in [
        ("Means", rows(evaluations)),
        *((f"{evaluation.system}: gain by input SNR", band_rows(evaluation)) for evaluation in evaluations),
    ]:
        table = Table(*content[0], title=title, title_justify="left", box=None)
        for row in content[1:]:
            table.add_row(*row)
        console.print(table)


def _load(name: str) -> Enhancer:
    """Return the engine of a model, of a preset's model, or of a checkpoint file of our own format."""
    from core.enhancement.loader import load_enhancer
    from core.errors import InvalidOptions
    from core.presets import PRESETS

    settings = load_settings()
    if name.endswith(".safetensors"):
        return _load_checkpoint(Path(name))
    preset = PRESETS.get(name)
    if preset is None:
        return load_enhancer(name, models_dir=settings.resolved_models_dir)
    preset = settings.operator_defaults.apply(preset)
    if preset.model is None:
        raise InvalidOptions(f"The preset {name!r} has no model to measure")
    return load_enhancer(
        preset.model, models_dir=settings.resolved_models_dir, shifts=preset.shifts, overlap=preset.overlap
    )


def _load_checkpoint(path: Path) -> Enhancer:
    from core.enhancement import band_split_lstm, mask_cnn, two_stage_unet
    from core.errors import ModelUnavailable
    from core.models.checkpoints import read_card

    engines: dict[str, Callable[[Path], Enhancer]] = {
        band_split_lstm.ARCHITECTURE: band_split_lstm.BandSplitLstmEnhancer.from_checkpoint,
        mask_cnn.ARCHITECTURE: mask_cnn.MaskCnnEnhancer.from_checkpoint,
        two_stage_unet.ARCHITECTURE: two_stage_unet.TwoStageUNetEnhancer.from_checkpoint,
    }
    architecture = read_card(path).architecture
    if architecture not in engines:
        raise ModelUnavailable(f"There is no engine for the architecture {architecture!r} of {path.stem!r}")
    return engines[architecture](path)

"""`limpid enhance`: the pipeline on files of this machine, without a server."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.configuration import load_settings
from cli.destination import Destination, plan_destination, refuse_overwriting
from cli.errors import CommandError
from cli.output_names import name_output
from cli.overrides import parse_overrides
from cli.signals import interrupt_on_terminate
from core.errors import EnhancerError
from core.jobs import ReportRole
from core.presets import DEFAULT_PRESET

if TYPE_CHECKING:
    from rich.console import Console

    from core.enhancement.pipeline import PipelineResult
    from core.enhancement.progress import ProgressSink
    from core.enhancement.protocol import Enhancer
    from core.jobs import Progress as JobProgress
    from core.jobs import Stage
    from core.options import EnhanceOptions


def enhance(
    sources: Annotated[list[Path], typer.Argument(metavar="IN...", help="Recordings of any format that is read.")],
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="A file, or a folder for several results.")],
    preset: Annotated[str, typer.Option(help="See `limpid presets`.")] = DEFAULT_PRESET,
    output_format: Annotated[
        str | None, typer.Option("--format", help="wav, flac, ...; default: by the name after -o, else wav.")
    ] = None,
    subtype: Annotated[
        str | None, typer.Option(help="PCM_16, PCM_24 or FLOAT; default: as the input, or as the preset says.")
    ] = None,
    track: Annotated[
        int, typer.Option(min=1, help="Which sound track, where a video or another file has several.")
    ] = 1,
    strength: Annotated[float, typer.Option(min=0, max=1, help="0 gives the input, 1 the full effect.")] = 1.0,
    precision: Annotated[
        str | None,
        typer.Option(help="standard, or fast: bfloat16 where model and machine have it; default: the preset's."),
    ] = None,
    residual: Annotated[bool, typer.Option(help="Also write what was taken away.")] = False,
    reference: Annotated[
        Path | None, typer.Option(help="Clean version of the one recording: the report compares with it.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any override that REST takes, such as stems=vocals, shifts=2, overlap=0.5, bandwidth=model; "
            "may be given again, and comes before the other options.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Enhance recordings. Inputs are never overwritten; the exit status is 0 only when all of them succeeded."""
    if reference is not None and len(sources) > 1:
        raise CommandError("--reference is of one recording; give one IN.")
    destination = plan_destination(output, sources)
    options = _resolve_options(
        preset,
        output_format=output_format or _format_of(destination),
        subtype=subtype,
        overrides={
            "track": track,
            "strength": strength,
            "residual": residual,
            "pictures": False,
            **({} if precision is None else {"precision": precision}),
            **parse_overrides(settings or ()),
        },
    )
    with interrupt_on_terminate():
        results, failures = _enhance_all(sources, destination, options, reference=reference)
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    if failures:
        raise typer.Exit(1)


def _resolve_options(
    preset: str, *, output_format: str | None, subtype: str | None, overrides: dict[str, Any]
) -> EnhanceOptions:
    from core.options import resolve_options
    from core.presets import find_preset

    operator = load_settings().operator_defaults
    spec = {"format": output_format or "wav", "subtype": subtype or operator.apply(find_preset(preset)).subtype}
    return resolve_options(preset, overrides, [spec], operator=operator)


def _format_of(destination: Destination) -> str | None:
    return destination.file.suffix.removeprefix(".").lower() if destination.file else None


def _enhance_all(
    sources: Sequence[Path], destination: Destination, options: EnhanceOptions, *, reference: Path | None
) -> tuple[list[dict[str, Any]], int]:
    """Enhance one after the other with one engine; a file that fails is named on standard error and skipped."""
    from rich.console import Console

    console = Console(stderr=True)
    enhancer = _load(options)
    destination.folder.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = []
    failures = 0
    for source in sources:
        try:
            results.append(
                _enhance_one(
                    source, sources, destination, options, reference=reference, enhancer=enhancer, console=console
                )
            )
        except (EnhancerError, CommandError, OSError) as error:
            failures += 1
            typer.echo(f"limpid: {source}: {_reason(error)}", err=True)
            results.append({"input": str(source), "error": _reason(error)})
    return results, failures


def _load(options: EnhanceOptions) -> Enhancer | None:
    if options.model is None:
        return None
    from core.enhancement.loader import load_enhancer

    return load_enhancer(
        options.model,
        models_dir=load_settings().resolved_models_dir,
        shifts=options.shifts,
        overlap=options.overlap,
        stems=options.stems,
        precision=options.precision,
    )


def _enhance_one(
    source: Path,
    sources: Sequence[Path],
    destination: Destination,
    options: EnhanceOptions,
    *,
    reference: Path | None,
    enhancer: Enhancer | None,
    console: Console,
) -> dict[str, Any]:
    from core.enhancement.pipeline import run_pipeline

    # Scratch beside the result: the same file system, so that finished files appear whole, by one rename each.
    with (
        tempfile.TemporaryDirectory(prefix=".limpid-", dir=destination.folder) as workspace,
        _progress_bar(source.name, console) as on_progress,
    ):
        result = run_pipeline(
            source,
            options=options,
            input_name=source.name,
            workspace=Path(workspace),
            enhancer=enhancer,
            on_progress=on_progress,
            reference=reference,
        )
        targets = _move_outputs(result, destination, sources, options=options)
    for warning in result.warnings:
        console.print(f"{source}: {warning}", style="yellow", markup=False)
    progress = result.progress
    console.print(
        f"{source} -> {', '.join(map(str, targets))} ({progress.duration_s:.1f} s, RTF {progress.rtf or 0:.3f})",
        markup=False,
        soft_wrap=True,
    )
    return {
        "input": str(source),
        "outputs": [str(target) for target in targets],
        "warnings": list(result.warnings),
        "report": result.report,
    }


def _move_outputs(
    result: PipelineResult, destination: Destination, sources: Sequence[Path], *, options: EnhanceOptions
) -> list[Path]:
    roles = {file.role for file in result.files}
    main_roles = roles - {"residual", *ReportRole}
    if destination.file is not None and len(main_roles) > 1:
        raise CommandError(f"This preset gives {', '.join(sorted(main_roles))}: -o must be a folder (end it in /).")
    main_role = next(iter(main_roles))
    names = [name_output(file.name, role=file.role, options=options) for file in result.files]
    targets = [
        destination.path_for(name, role=file.role, main_role=main_role)
        for name, file in zip(names, result.files, strict=True)
    ]
    for target in targets:
        refuse_overwriting(target, sources)
    for file, target in zip(result.files, targets, strict=True):
        os.replace(file.path, target)
    return targets


@contextmanager
def _progress_bar(name: str, console: Console) -> Iterator[ProgressSink]:
    """A bar on standard error, gone at the end; nothing where standard error is no terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=1.0)

        def on_progress(stage: Stage, progress: JobProgress) -> None:
            bar.update(task, completed=progress.fraction, description=f"{name}: {stage}")

        yield on_progress


def _reason(error: EnhancerError | CommandError | OSError) -> str:
    if isinstance(error, EnhancerError):
        return error.detail
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)

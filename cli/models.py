"""`limpid models`: what there is, what is installed, and how to get the rest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.configuration import load_settings
from cli.errors import CommandError

if TYPE_CHECKING:
    from core.model_catalogue import ModelRecord, WeightsFile

CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 60.0

app = typer.Typer(help="List, pull and describe models.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", help="Where weights are kept; default: LIMPID_MODELS_DIR.")
]


@app.command("list")
def list_models(*, models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """List every model, and whether it is installed here."""
    from core import model_catalogue

    listed = model_catalogue.list_models(_folder(models_dir))
    if as_json:
        typer.echo(json.dumps([_summary(item.record, is_installed=item.is_installed) for item in listed], indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for heading in ("Model", "Installed", "Licence"):
        table.add_column(heading, no_wrap=True)
    table.add_column("What it is")
    for item in listed:
        record = item.record
        table.add_row(record.name, "yes" if item.is_installed else "no", record.licence, record.title)
    Console().print(table)


@app.command()
def info(name: str, *, models_dir: ModelsDir = None, as_json: AsJson = False) -> None:
    """Describe one model: licence, origin, files and their SHA-256 here."""
    from core.model_catalogue import find_alias, find_model

    record = find_model(name)
    alias = find_alias(name)
    folder = _folder(models_dir)
    details = _summary(record, is_installed=record.is_installed(folder)) | {
        "alias_note": alias.note if alias else None,
        "notice": record.notice,
        "source": record.source,
        "files": [_describe_file(file, record.files_dir(folder) / file.name) for file in record.files],
    }
    if as_json:
        typer.echo(json.dumps(details, indent=2))
        return
    for key, value in details.items():
        if key == "files":
            for file in value:
                state = "not here" if file["sha256"] is None else "verified" if file["is_verified"] else "DAMAGED"
                typer.echo(f"file: {file['name']} ({state})\n  {file['url']}")
        elif value is not None:
            shown = ", ".join(value) if isinstance(value, list) else value
            typer.echo(f"{key.replace('_', ' ')}: {shown}")


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Models to install.")],
    *,
    models_dir: ModelsDir = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Agree to non-commercial licences without being asked.")
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option(envvar="LIMPID_MODELS_BASE_URL", help="A mirror: a folder with the files under their own names."),
    ] = None,
) -> None:
    """Fetch weights, verify them and install them. An interrupted transfer is continued by the same command."""
    from core.model_catalogue import find_alias, find_model

    records = {find_model(name).name: find_model(name) for name in names}
    for name in names:
        alias = find_alias(name)
        if alias is not None:
            typer.echo(alias.note, err=True)
    for record in records.values():
        _agree_to_licence(record, accepted=accept_licence)
    for record in records.values():
        _pull(record, _folder(models_dir), base_url=base_url)


@app.command()
def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="TensorFlow checkpoint of the two-stage U-Net (its ZIP, folder, or file prefix), or PyTorch "
            "checkpoint of FINALLY's unofficial code."
        ),
    ],
    *,
    name: Annotated[
        str, typer.Option(help="The model to install it as: two-stage-unet or finally-48k.")
    ] = "two-stage-unet",
    licence: Annotated[str, typer.Option(help="Of weights for finally-48k, which their trainer knows.")] = "unknown",
    models_dir: ModelsDir = None,
) -> None:
    """Install weights that others' code has trained, offline and without running anything in the file."""
    from core.model_catalogue import Architecture, find_model
    from core.models.finally_speech import released
    from core.models.two_stage_release import convert_checkpoint

    if name not in ("two-stage-unet", "finally-48k"):
        raise CommandError(f"--name {name}: weights can be installed as two-stage-unet or finally-48k")
    record = find_model(name)
    folder = _folder(models_dir)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{record.name}.safetensors"
    if record.architecture is Architecture.FINALLY:
        card = released.convert_checkpoint(
            checkpoint, name=record.name, target=target, licence=licence, expected_rate=record.sample_rate
        )
    else:
        card = convert_checkpoint(checkpoint, name=record.name, target=target)
    typer.echo(f"{target} ({card.architecture}, {card.sample_rate} Hz, SHA-256 {card.weights_sha256})")


def _agree_to_licence(record: ModelRecord, *, accepted: bool) -> None:
    """Show the licence; CommandError unless the operator agrees to one that forbids commercial use."""
    typer.echo(f"{record.name} ({record.licence}): {record.notice}", err=True)
    if not record.is_non_commercial or accepted:
        return
    try:
        agreed = typer.confirm("Use these weights for non-commercial purposes only?", err=True)
    except typer.Abort:  # standard input is closed
        agreed = False
    if not agreed:
        raise CommandError(f"{record.name} was not pulled: its licence was not accepted (--accept-licence in scripts)")


def _pull(record: ModelRecord, folder: Path, *, base_url: str | None) -> None:
    import httpx
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from core.models.download import pull_model

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    with (
        httpx.Client(follow_redirects=True, timeout=timeout) as client,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        tasks = {file.name: bar.add_task(file.name, total=file.bytes) for file in record.files}

        def on_progress(file: WeightsFile, done: int, total: int | None) -> None:
            bar.update(tasks[file.name], completed=done, total=total)

        paths = pull_model(record, folder, client=client, base_url=base_url, on_progress=on_progress)
    for path in paths:
        typer.echo(path)


def _folder(models_dir: Path | None) -> Path:
    return models_dir.resolve() if models_dir is not None else load_settings().resolved_models_dir


def _summary(record: ModelRecord, *, is_installed: bool) -> dict[str, Any]:
    return {
        "name": record.name,
        "title": record.title,
        "is_installed": is_installed,
        "origin": record.origin.value,
        "architecture": record.architecture.value,
        "sample_rate": record.sample_rate,
        "channels": record.channels,
        "stems": list(record.stems),
        "parameters": record.parameters,
        "training_data": record.training_data,
        "cpu_rtf": record.cpu_rtf,
        "how_to_get": record.how_to_get,
        "guarded_by": record.guarded_by,
        "licence": record.licence,
        "is_non_commercial": record.is_non_commercial,
    }


def _describe_file(file: WeightsFile, path: Path) -> dict[str, Any]:
    digest = None
    if path.is_file():
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "name": file.name,
        "url": file.url,
        "sha256_prefix": file.sha256_prefix,
        "sha256": digest,
        "is_verified": digest is not None and digest.startswith(file.sha256_prefix),
    }

"""`limpid keys`: who may use the API while LIMPID_AUTH is on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.configuration import load_settings
from cli.errors import CommandError
from cli.processes import DataDir
from core.access.keys import Scope

if TYPE_CHECKING:
    from core.access.keys import ApiKey
    from core.access.keys_sql import SqlKeyRepository

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="For people: whose it is, or what for.")],
    *,
    scope: Annotated[
        list[Scope], typer.Option(help="What it allows; may be repeated. `admin`: everything, on every key's jobs.")
    ] = [Scope.SUBMIT, Scope.READ],  # noqa: B006 - typer reads it, nobody changes it
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Create a key. It is printed on standard output, now and never again: only its hash is stored."""
    from core.access.keys import create_key

    if not name.strip():
        raise CommandError("The key needs a name.")
    key, token = create_key(name.strip(), scope, keys=_open(data_dir), now=datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps(_summary(key) | {"key": token}, indent=2))
        return
    typer.echo(token)
    typer.echo(f"Keep it: it is not shown again. Scopes: {_scopes(key)}. Needed while LIMPID_AUTH=on.", err=True)


@app.command("list")
def list_keys(*, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List every key, the oldest first."""
    keys = _open(data_dir).list()
    if as_json:
        typer.echo(json.dumps([_summary(key) for key in keys], indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for heading in ("Key", "Name", "Scopes", "Created", "Revoked"):
        table.add_column(heading)
    for key in keys:
        revoked = "" if key.revoked_at is None else f"{key.revoked_at:%Y-%m-%d %H:%M}"
        table.add_row(f"{key.prefix}…", key.name, _scopes(key), f"{key.created_at:%Y-%m-%d %H:%M}", revoked)
    Console().print(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's first characters as `limpid keys list` shows them, or its id.")],
    *,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key: requests with it are refused from now on. Its jobs stay."""
    revoked = _open(data_dir).revoke(key.removesuffix("…"), now=datetime.now(UTC))
    typer.echo(f"Revoked {revoked.prefix}… ({revoked.name}).")


def _open(data_dir: DataDir) -> SqlKeyRepository:
    from core.access.keys_sql import SqlKeyRepository
    from core.database import create_engine_for, migrate

    settings = load_settings(data_dir)
    if settings.database_url is None:
        migrate(settings.resolved_database_url)  # the embedded stack may never have run yet
    return SqlKeyRepository(create_engine_for(settings))


def _scopes(key: ApiKey) -> str:
    return ", ".join(sorted(key.scopes))


def _summary(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
    }

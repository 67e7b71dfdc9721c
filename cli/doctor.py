"""`limpid doctor`: what is configured, what answers, what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.checks.check import Check, Verdict, bad, ok
from cli.configuration import load_settings
from cli.processes import DataDir
from core.errors import EnhancerError

if TYPE_CHECKING:
    from core.settings import Settings


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Check configuration, services, workers, models and disk. The exit status is 1 when something needed is missing.

    Nothing is changed, but for an object that is written and removed again.
    """
    checks = list(diagnose(load_settings(data_dir)))
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            typer.echo(f"{check.verdict:<5} {check.name:<22} {check.detail}")
    if any(check.verdict is Verdict.BAD for check in checks):
        raise typer.Exit(1)


def diagnose(settings: Settings) -> Iterator[Check]:
    """Every check, in the order in which a person would look."""
    from cli.checks.access import check_access
    from cli.checks.machine import check_machine
    from cli.checks.services import check_services
    from cli.checks.workers import check_workers
    from core.backend import open_backend

    yield ok("data folder", str(settings.data_dir.resolve()))
    yield from check_machine(settings)
    try:
        backend = open_backend(settings)
    except EnhancerError as error:
        yield bad("services", error.detail)
        return
    try:
        yield from check_services(settings, backend)
        yield from check_workers(settings, backend.fleet)
        yield from check_access(settings, backend.keys)
    finally:
        backend.close()

"""`limpid up`: the whole stack on this machine, with nothing to install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.embedded import embedded_stack
from cli.signals import stop_event


def up(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to listen on; 0 takes a free one.")] = 8000,
    data_dir: Annotated[Path, typer.Option(help="Where jobs, files, models and logs are kept.")] = Path("limpid-data"),
) -> None:
    """Run API, workers and scheduler over one folder until Ctrl-C or SIGTERM. Processes that die start again."""
    with stop_event() as stop:
        _announce(f"Starting. Data and logs: {data_dir.resolve()}")
        with embedded_stack(data_dir, host=host, port=port, announce=_announce, stop=stop) as stack:
            if not stop.is_set():
                typer.echo(f"Limpid is ready: {stack.url} (REST: {stack.url}/docs). Ctrl-C stops it.")
                stack.supervisor.run(stop)
            _announce("Stopping.")
    _announce("Stopped.")


def _announce(line: str) -> None:
    typer.echo(line, err=True)

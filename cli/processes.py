"""The production processes: migrate, api, worker, scheduler. Everything else about them is in the environment."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.configuration import load_settings
from core.jobs import Device, Lane
from core.queue import ALL_QUEUES, IO_QUEUE, MAINTENANCE_QUEUE, job_queue_name

if TYPE_CHECKING:
    from core.settings import Settings

RETRY_INTERVAL_S = 1.0
HOUSEKEEPING_QUEUES = (IO_QUEUE, MAINTENANCE_QUEUE)

DataDir = Annotated[Path | None, typer.Option(help="Folder of the embedded stack; default: LIMPID_DATA_DIR.")]
SupervisorFd = Annotated[int | None, typer.Option(hidden=True, help="Stop when this pipe closes.")]


def migrate(
    *,
    wait_s: Annotated[float, typer.Option(min=0, help="Keep trying for so long while no database answers.")] = 60.0,
    data_dir: DataDir = None,
) -> None:
    """Bring the database to the schema of this version. Safe to run again, and by several at once."""
    from core.database import migrate as migrate_database
    from core.errors import StorageError

    url = load_settings(data_dir).resolved_database_url
    deadline = time.monotonic() + wait_s
    while True:
        try:
            migrate_database(url)
        except StorageError as error:
            if time.monotonic() >= deadline:
                raise
            typer.echo(f"{error.detail} Trying again.", err=True)
            time.sleep(RETRY_INTERVAL_S)
        else:
            break
    typer.echo("The database is up to date.")


def api(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port to listen on.")] = 8000,
    data_dir: DataDir = None,
    supervisor_fd: SupervisorFd = None,
) -> None:
    """Run the REST API until SIGTERM or Ctrl-C."""
    from api.main import run_api

    settings = load_settings(data_dir)
    _start(settings, supervisor_fd)
    run_api(settings, host, port)


def worker(
    *,
    queues: Annotated[
        str | None, typer.Option(help="Comma-separated queues; default: all but the other device's.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Jobs at a time; default: one per core.")] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve /metrics here; default: LIMPID_METRICS_PORT, or nowhere."),
    ] = None,
    data_dir: DataDir = None,
    supervisor_fd: SupervisorFd = None,
) -> None:
    """Run a worker until SIGTERM or Ctrl-C; a job that runs then goes back to the queue."""
    settings = load_settings(data_dir)
    if metrics_port is not None:
        settings = settings.model_copy(update={"metrics_port": metrics_port})
    names = queues.split(",") if queues else [*job_queues(settings), *HOUSEKEEPING_QUEUES]
    unknown = sorted(set(names) - set(ALL_QUEUES))
    if unknown:
        raise typer.BadParameter(f"unknown queue {', '.join(unknown)}; queues: {', '.join(ALL_QUEUES)}")

    from worker.app import run_worker

    _start(settings, supervisor_fd)
    run_worker(settings, names, concurrency or available_cores())


def scheduler(*, data_dir: DataDir = None, supervisor_fd: SupervisorFd = None) -> None:
    """Run the clock of the periodic tasks. One is enough; a second one does no harm."""
    from worker.app import run_scheduler

    settings = load_settings(data_dir)
    _start(settings, supervisor_fd)
    run_scheduler(settings)


def job_queues(settings: Settings) -> list[str]:
    """The queues that jobs of this device wait in, the more urgent first."""
    return [job_queue_name(Device(settings.device), lane) for lane in Lane]


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _start(settings: Settings, supervisor_fd: int | None) -> None:
    """What every long-running process does first."""
    from cli.liveness import stop_with_supervisor
    from cli.logs import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    if supervisor_fd is not None:
        stop_with_supervisor(supervisor_fd)

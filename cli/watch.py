"""`limpid watch`: a folder whose recordings are enhanced by a server as they arrive."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Event
from typing import Annotated, Any, NoReturn

import typer

from cli.errors import CommandError
from cli.logs import LogFormat, configure_logging
from cli.signals import stop_event
from core.jobs import JobStatus, Lane, Problem, ReportRole
from limpid_client.client import DEFAULT_URL, LimpidClient
from limpid_client.errors import ApiError
from worker.ingest.folder import WatchedFolder
from worker.ingest.ingester import Ingester
from worker.ingest.job_options import merged_options, read_options
from worker.ingest.lock import watch_lock
from worker.ingest.service import JobLost, JobState, Refused, ServiceUnavailable

logger = logging.getLogger(__name__)

BUSY_INTERVAL_S = 1.0  # while recordings arrive or are on their way
IDLE_INTERVAL_S = 5.0  # also beside the system's notices, which network drives and full buffers swallow
MAX_FAULTS_ONCE = 5  # one after the other; then --once gives up and leaves the rest to the next run

_TRY_LATER = frozenset({408, 409, 425, 429})
_FINAL_CODES = frozenset({"model_unavailable"})  # a 409 that lasts until an operator acts
_GONE = frozenset({404, 410})
_REPORT_ROLES = frozenset(ReportRole)
_NOT_ALLOWED = frozenset({401, 403})


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def watch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where recordings arrive, in sub-folders too.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where results go, in the same sub-folders.")],
    url: Annotated[str, typer.Option(envvar="LIMPID_URL", show_envvar=True, help="The server.")] = DEFAULT_URL,
    api_key: Annotated[
        str | None, typer.Option(envvar="LIMPID_API_KEY", show_envvar=True, help="Where the server wants one.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(envvar="LIMPID_WATCH_PRESET", help="See `limpid presets`; default: the server's.")
    ] = None,
    options: Annotated[
        Path | None,
        typer.Option(
            envvar="LIMPID_WATCH_OPTIONS",
            metavar="FILE",
            help="Job options as JSON, for recordings without their own.",
        ),
    ] = None,
    poll: Annotated[
        bool, typer.Option("--poll", envvar="LIMPID_WATCH_POLL", help="Look for yourself: for network drives.")
    ] = False,
    stable_s: Annotated[
        float,
        typer.Option(
            envvar="LIMPID_WATCH_STABLE_S",
            min=0,
            help="Seconds that a file must not change before it counts as complete.",
        ),
    ] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Do what is there now, and end.")] = False,
    log_level: Annotated[LogLevel, typer.Option(envvar="LIMPID_LOG_LEVEL", case_sensitive=False)] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(envvar="LIMPID_LOG_FORMAT", help="For people or programs.")] = "text",
) -> None:
    """Enhance what arrives in DIR, until Ctrl-C or SIGTERM. Recordings end in DIR/done or, with the reason, DIR/failed.

    Options of one recording stand beside it (talk.wav.json), those of a folder in its limpid.json. After a restart the
    command goes on where it was. With --once the exit status is 0 only when nothing failed and nothing is left.
    """
    configure_logging(log_level.value, log_format)
    watched = WatchedFolder(source=_existing(folder), results=out.resolve())
    given = {} if options is None else read_options(options)
    defaults = merged_options({"lane": Lane.BULK.value}, given, {"preset": preset} if preset else {})
    with (
        stop_event() as stop,
        watch_lock(watched.state),
        LimpidClient(url, api_key=api_key, sleep=lambda seconds: _pause(stop, seconds)) as client,
    ):
        ingester = Ingester(
            watched,
            ServerOverRest(client, stop=stop),
            defaults=defaults,
            stable_s=stable_s,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
            is_once=once,
        )
        logger.info("watching", extra={"folder": str(watched.source), "out": str(watched.results), "url": url})
        if once:
            _run_once(ingester, stop)
        else:
            _run(ingester, watched, stop, poll=poll)


class ServerOverRest:
    """The EnhancementService behind the REST API. Once `stop` is set, uploads break off; the next run repeats them."""

    def __init__(self, client: LimpidClient, *, stop: Event) -> None:
        self._client = client
        self._stop = stop

    def submit(self, recording: Path, *, options: Mapping[str, Any], idempotency_key: str) -> str:
        """Upload a recording as a job."""
        try:
            job = self._client.submit(
                recording, options=options, idempotency_key=idempotency_key, on_sent=self._check_going_on
            )
        except ApiError as error:
            _raise_translated(error)
        return job.id

    def follow(self, job_id: str) -> JobState:
        """Ask for the job."""
        try:
            job = self._client.get(job_id)
        except ApiError as error:
            _raise_translated(error, is_lost_when_gone=True)
        problem = job.document["error"]
        return JobState(
            status=JobStatus(job.status),
            problem=problem and Problem(code=problem["code"], title=problem["title"], detail=problem["detail"]),
        )

    def fetch(self, job_id: str, folder: Path) -> Sequence[str]:
        """Download every output of the job but the report's pictures, which stay on the server."""
        try:
            outputs = [output for output in self._client.get(job_id).outputs if output.role not in _REPORT_ROLES]
            return [self._client.download(output, folder, on_received=self._check_going_on).name for output in outputs]
        except ApiError as error:
            _raise_translated(error, is_lost_when_gone=True)

    def _check_going_on(self, _passed_bytes: int) -> None:
        if self._stop.is_set():
            raise ServiceUnavailable("The watcher is to stop.")


def _raise_translated(error: ApiError, *, is_lost_when_gone: bool = False) -> NoReturn:
    if error.status in _NOT_ALLOWED:
        raise CommandError(f"The server does not let us in: {error}") from error
    if error.status in _GONE and is_lost_when_gone:
        raise JobLost(str(error)) from error
    is_final = error.status is not None and 400 <= error.status < 500
    if not is_final or (error.status in _TRY_LATER and error.code not in _FINAL_CODES):
        raise ServiceUnavailable(str(error)) from error
    raise Refused(Problem(code=error.code, title="The server refused the recording", detail=str(error))) from error


def _run_once(ingester: Ingester, stop: Event) -> None:
    while not stop.is_set():
        ingester.step()
        if not ingester.is_busy or ingester.faults >= MAX_FAULTS_ONCE:
            break
        stop.wait(BUSY_INTERVAL_S)
    left = f", {ingester.waiting} left for the next run" if ingester.waiting else ""
    typer.echo(f"{ingester.done} done, {ingester.failed} failed{left}")
    if ingester.failed or ingester.waiting:
        raise typer.Exit(1)


def _run(ingester: Ingester, folder: WatchedFolder, stop: Event, *, poll: bool) -> None:
    last_step_s = -IDLE_INTERVAL_S
    for is_notified in _ticks(folder, stop, poll=poll):
        now_s = time.monotonic()
        if is_notified or ingester.is_busy or now_s - last_step_s >= IDLE_INTERVAL_S:
            last_step_s = now_s
            ingester.step()
    logger.info("watch_stopped", extra={"done": ingester.done, "failed": ingester.failed, "left": ingester.waiting})


def _ticks(folder: WatchedFolder, stop: Event, *, poll: bool) -> Iterator[bool]:
    """Every BUSY_INTERVAL_S at the latest until `stop` is set: True when the system noticed a change in the folder."""
    from watchfiles import watch as notices

    yield True
    if not poll:
        try:
            for changes in notices(
                folder.source,
                watch_filter=lambda _change, path: folder.is_watched(Path(path)),
                stop_event=stop,
                rust_timeout=int(BUSY_INTERVAL_S * 1000),
                yield_on_timeout=True,
            ):
                yield bool(changes)
        except OSError as error:  # such as too many folders for inotify
            logger.warning("watch_falls_back_to_polling", extra={"reason": str(error)})
    while not stop.wait(BUSY_INTERVAL_S):
        yield False


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise CommandError(f"{folder} is no folder.")
    return folder.resolve()


def _pause(stop: Event, seconds: float) -> None:
    stop.wait(seconds)

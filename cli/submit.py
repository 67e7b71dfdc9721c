"""`limpid submit`: files to a server, as jobs; optionally followed to their end, and their results fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CommandError
from cli.signals import interrupt_on_terminate
from core.jobs import ReportRole
from limpid_client.client import DEFAULT_URL, LimpidClient
from limpid_client.errors import ApiError
from limpid_client.records import RemoteJob

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

POLL_S = 1.0
"""The oldest unfinished job is asked to answer after this long at the latest; the others are asked once per round."""

INTERRUPTED = 130  # exit status, 128 + SIGINT
_REPORT_ROLES = frozenset(ReportRole)  # pictures stay on the server


@dataclass(kw_only=True)
class Submission:
    """What became of one of the recordings."""

    source: str  # a path, or the URL of a recording that the server fetches
    job: RemoteJob | None = None
    error: str | None = None
    files: tuple[Path, ...] = ()

    @property
    def is_url(self) -> bool:
        """True when the server fetches it."""
        return self.source.lower().startswith(("http://", "https://"))

    @property
    def name(self) -> str:
        """For its bar."""
        return Path(self.source).name

    def fail(self, reason: str) -> None:
        """Note the reason, and say it on standard error."""
        self.error = reason
        typer.echo(f"limpid: {self.source}: {reason}", err=True)

    def as_json(self) -> dict[str, Any]:
        return {
            "input": self.source,
            "job": None if self.job is None else dict(self.job.document),
            "files": [str(file) for file in self.files],
            "error": self.error,
        }


def submit(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE|URL...", help="Recordings of any format that is read; the server fetches URLs."),
    ],
    *,
    url: Annotated[str, typer.Option(envvar="LIMPID_URL", help="The server.")] = DEFAULT_URL,
    api_key: Annotated[
        str | None, typer.Option(envvar="LIMPID_API_KEY", show_envvar=True, help="Where the server wants one.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="See `limpid presets`; default: the server's.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Clean version of the one recording: the report compares with it.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the jobs to their end.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Fetch the results into DIR; implies --wait.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the jobs as JSON.")] = False,
) -> None:
    """Submit recordings to a server. The exit status is 0 only when all were accepted and, when followed, succeeded.

    Ctrl-C leaves the jobs to the server, and says their ids.
    """
    from rich.console import Console

    if reference is not None and len(files) > 1:
        raise CommandError("--reference is of one recording; give one FILE.")
    submissions = [Submission(source=file) for file in files]
    if reference is not None and submissions[0].is_url:
        raise CommandError("--reference goes with a file, not with a URL.")
    with (
        interrupt_on_terminate(),
        LimpidClient(url, api_key=api_key) as client,
        _progress_bars(Console(stderr=True)) as bars,
    ):
        try:
            run_submissions(
                client,
                submissions,
                bars,
                preset=preset,
                reference=reference,
                wait=wait or output is not None,
                output=output,
            )
        except KeyboardInterrupt:
            _say_interrupted(submissions)
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps([submission.as_json() for submission in submissions], indent=2))
    else:
        _say_results(submissions, url)
    if any(submission.error for submission in submissions):
        raise typer.Exit(1)


def run_submissions(
    client: LimpidClient,
    submissions: Sequence[Submission],
    bars: Progress,
    *,
    preset: str | None,
    reference: Path | None = None,
    wait: bool,
    output: Path | None,
) -> None:
    """Submit one file after the other, then follow and fetch; each Submission keeps its outcome."""
    tasks: dict[str, TaskID] = {}
    for submission in submissions:
        _send(client, submission, bars, tasks, preset=preset, reference=reference)
    if not wait:
        return
    taken_names: set[str] = set()
    for submission in _follow(client, submissions, bars, tasks):
        if submission.job is None or not submission.job.has_succeeded:
            submission.fail(_why(submission.job))
        elif output is not None:
            _fetch(client, submission, output, taken_names)


def _send(
    client: LimpidClient,
    submission: Submission,
    bars: Progress,
    tasks: dict[str, TaskID],
    *,
    preset: str | None,
    reference: Path | None,
) -> None:
    task = bars.add_task(f"{submission.name}: upload", total=None, figures="")
    try:
        if submission.is_url:
            submission.job = client.submit_url(submission.source, preset=preset)
        else:
            path = Path(submission.source)
            bars.update(task, total=path.stat().st_size)
            submission.job = client.submit(
                path,
                preset=preset,
                reference=reference,
                on_sent=lambda sent_bytes: bars.advance(task, sent_bytes),
            )
    except (ApiError, OSError) as error:
        submission.fail(_reason(error))
        bars.remove_task(task)
        return
    bars.reset(task, total=1.0)
    tasks[submission.job.id] = task
    _show(submission, bars, task)


def _follow(
    client: LimpidClient, submissions: Sequence[Submission], bars: Progress, tasks: Mapping[str, TaskID]
) -> Iterator[Submission]:
    """Yield each accepted submission as its job ends, or as the server stops answering."""
    pending = [submission for submission in submissions if submission.job is not None]
    while pending:
        for index, submission in enumerate(list(pending)):
            if submission.job is None:
                continue
            try:
                # The first one's long poll paces the round.
                wait_s = POLL_S if index == 0 else 0.0
                submission.job = client.get(submission.job.id, known=submission.job, wait_s=wait_s)
            except ApiError as error:
                submission.fail(f"job {submission.job.id}: {error}")
                pending.remove(submission)
                continue
            _show(submission, bars, tasks[submission.job.id])
            if submission.job.has_ended:
                pending.remove(submission)
                yield submission


def _fetch(client: LimpidClient, submission: Submission, folder: Path, taken_names: set[str]) -> None:
    job = submission.job
    if job is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for remote in job.outputs:
            if remote.role in _REPORT_ROLES:
                continue
            # Two inputs of one name, from two folders, must not overwrite each other's results.
            name = remote.name if remote.name not in taken_names else f"{job.id}.{remote.name}"
            taken_names.add(name)
            submission.files += (client.download(remote, folder, name=name),)
    except (ApiError, OSError) as error:
        submission.fail(_reason(error))


def _why(job: RemoteJob | None) -> str:
    if job is None:
        return "was not accepted"
    return f"job {job.id} {job.status}{f': {job.error_detail}' if job.error_detail else ''}"


def _reason(error: ApiError | OSError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


@contextmanager
def _progress_bars(console: Console) -> Iterator[Progress]:
    """A bar per file on standard error, gone at the end; nothing where standard error is no terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield bars


def _show(submission: Submission, bars: Progress, task: TaskID) -> None:
    job = submission.job
    if job is None:
        return
    state = job.stage if job.status == "running" and job.stage else job.status
    if job.status == "queued" and job.queue_position:
        state = f"queued behind {job.queue_position}"
    figures = [f"{job.eta_s:.0f} s left" if job.eta_s is not None else "", f"RTF {job.rtf:.3f}" if job.rtf else ""]
    bars.update(
        task,
        completed=job.fraction,
        description=f"{submission.name}: {state}",
        figures=", ".join(figure for figure in figures if figure),
    )


def _say_interrupted(submissions: Sequence[Submission]) -> None:
    ids = [submission.job.id for submission in submissions if submission.job and not submission.job.has_ended]
    left = f" The server goes on with: {', '.join(ids)}" if ids else ""
    typer.echo(f"limpid: interrupted.{left}", err=True)


def _say_results(submissions: Sequence[Submission], url: str) -> None:
    for submission in submissions:
        if submission.error is None and submission.job is not None:
            where = ", ".join(map(str, submission.files)) or f"{url.rstrip('/')}/api/v1/jobs/{submission.job.id}"
            typer.echo(f"{submission.source}: {submission.job.status}, job {submission.job.id} -> {where}")

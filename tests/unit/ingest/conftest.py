"""A folder, a clock that tests move, and a server that does what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.jobs import JobStatus, Problem
from worker.ingest.folder import WatchedFolder
from worker.ingest.ingester import Ingester
from worker.ingest.service import JobLost, JobState, Refused, ServiceUnavailable

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STABLE_S = 5.0


class Killed(BaseException):
    """The process is gone: nothing of it runs any more, no `except Exception` either."""


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(kw_only=True)
class FakeService:
    """A server in memory, with idempotency keys. Jobs succeed at once unless `status` says otherwise."""

    status: JobStatus = JobStatus.SUCCEEDED
    problem: Problem | None = None
    results: Mapping[str, bytes] = field(default_factory=lambda: {"{stem}.enhanced.wav": b"enhanced {name}"})
    is_down: bool = False
    refusal: Problem | None = None
    on_call: Callable[[str], None] = lambda call: None  # a test's chance to kill the watcher: "submitted", "fetched"
    jobs: dict[str, str] = field(default_factory=dict)  # id -> file name
    ids_by_key: dict[str, str] = field(default_factory=dict)
    options: list[Mapping[str, Any]] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def submit(self, recording: Path, *, options: Mapping[str, Any], idempotency_key: str) -> str:
        self._check()
        if self.refusal is not None:
            raise Refused(self.refusal)
        recording.read_bytes()
        if idempotency_key not in self.ids_by_key:
            job_id = f"job-{len(self.jobs) + 1}"
            self.ids_by_key[idempotency_key] = job_id
            self.jobs[job_id] = recording.name
            self.options.append(options)
        self.on_call("submitted")
        return self.ids_by_key[idempotency_key]

    def follow(self, job_id: str) -> JobState:
        self._check()
        if job_id in self.lost:
            raise JobLost("There is no such job.")
        return JobState(status=self.status, problem=self.problem)

    def fetch(self, job_id: str, folder: Path) -> Sequence[str]:
        self._check()
        name = self.jobs[job_id]
        for template, content in self.results.items():
            (folder / template.format(stem=Path(name).stem)).write_bytes(content.replace(b"{name}", name.encode()))
            self.on_call("fetched")
        return list(self.results)

    def _check(self) -> None:
        if self.is_down:
            raise ServiceUnavailable("The server does not answer.")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def folder(tmp_path: Path) -> WatchedFolder:
    (tmp_path / "in").mkdir()
    return WatchedFolder(source=tmp_path / "in", results=tmp_path / "out")


@pytest.fixture
def start(folder: WatchedFolder, service: FakeService, clock: Clock) -> Callable[..., Ingester]:
    """Starts a watcher on the folder; again, after the first one was killed."""

    def start(**changes: Any) -> Ingester:  # noqa: ANN401
        arguments = {"defaults": {}, "stable_s": STABLE_S, "clock": clock, "now": lambda: NOW, **changes}
        return Ingester(folder, service, **arguments)

    return start


def drop(folder: WatchedFolder, path: str, content: bytes | str | Mapping[str, Any] = b"sound") -> Path:
    """Somebody puts a file into the watched folder."""
    target = folder.source / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Mapping):
        content = json.dumps(content)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    return target


def run(ingester: Ingester, clock: Clock, *, steps: int = 20, pause_s: float = STABLE_S) -> None:
    """Let the watcher make so many steps."""
    for _ in range(steps):
        ingester.step()
        clock.seconds += pause_s


def tree(root: Path) -> dict[str, bytes]:
    """Every visible file below `root`, by its path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }

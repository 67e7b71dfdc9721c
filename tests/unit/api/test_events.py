"""A job's news as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api import polling
from api.events import HEARTBEAT_S, stream_events
from api.schemas import JobView
from core.errors import StorageError
from core.ids import new_id
from tests.factories import make_job
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import add_queued, add_succeeded, advance, fail, finish, start

JOBS = "/api/v1/jobs"


class ScriptedJobs(FakeJobRepository):
    """Lets something happen before each read."""

    def __init__(self) -> None:
        super().__init__()
        self.script: list[Callable[[], Any]] = []

    def get(self, job_id: str) -> Any:  # noqa: ANN401
        if self.script:
            self.script.pop(0)()
        return super().get(job_id)


@pytest.fixture
def jobs() -> ScriptedJobs:
    return ScriptedJobs()


@pytest.fixture(autouse=True)
def _poll_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "POLL_INTERVAL_S", 0.001)


def events_in(text: str) -> list[dict[str, str]]:
    """The events of a stream, each as its fields; comments and `retry` apart."""
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.split("\n\n") if block]
    return [block for block in blocks if "data" in block]


def nothing() -> None:
    """Let time pass."""


def test_whole_course_of_a_job_is_told(client: TestClient, jobs: ScriptedJobs, store: FakeObjectStore) -> None:
    job = add_queued(jobs)
    jobs.script = [
        nothing,
        nothing,
        lambda: start(jobs, job.id),
        lambda: advance(jobs, jobs._row(job.id).job, fraction=0.25),
        nothing,
        lambda: advance(jobs, jobs._row(job.id).job, fraction=0.5),
        lambda: finish(jobs, store, jobs._row(job.id).job, {"a.wav": b"sound"}),
    ]

    response = client.get(f"{JOBS}/{job.id}/events")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["Cache-Control"] == "no-store"
    told = events_in(response.text)
    assert [event["event"] for event in told] == ["status", "status", "progress", "progress", "end"]
    assert [json.loads(event["data"])["progress"]["fraction"] for event in told] == [0, 0, 0.25, 0.5, 1]
    assert len({event["id"] for event in told}) == len(told)
    assert json.loads(told[-1]["data"]) == client.get(f"{JOBS}/{job.id}").json()


def test_client_that_comes_back_is_told_only_what_it_has_not_seen(client: TestClient, jobs: ScriptedJobs) -> None:
    job = start(jobs, add_queued(jobs).id)
    advance(jobs, job, fraction=0.25)
    jobs.script = [nothing, lambda: advance(jobs, job, fraction=0.5), lambda: fail(jobs, job, code="invalid_audio")]
    first, second, end = events_in(client.get(f"{JOBS}/{job.id}/events").text)
    assert [first["event"], second["event"], end["event"]] == ["status", "progress", "end"]

    resumed = events_in(client.get(f"{JOBS}/{job.id}/events", headers={"Last-Event-ID": second["id"]}).text)

    assert resumed == [end]
    done = client.get(f"{JOBS}/{job.id}/events", headers={"Last-Event-ID": end["id"]})
    assert (done.status_code, done.content) == (204, b"")


def test_change_of_progress_after_a_gap_is_progress_and_a_new_attempt_is_status(
    client: TestClient, jobs: ScriptedJobs
) -> None:
    job = start(jobs, add_queued(jobs).id)
    advance(jobs, job, fraction=0.25)
    jobs.script = [nothing, lambda: fail(jobs, job, code="invalid_audio")]
    same_attempt = {"Last-Event-ID": "1.running.enhance.100000.0"}

    told = events_in(client.get(f"{JOBS}/{job.id}/events", headers=same_attempt).text)

    assert [event["event"] for event in told] == ["progress", "end"]


def test_ended_job_is_told_once(client: TestClient, jobs: ScriptedJobs, store: FakeObjectStore) -> None:
    job = add_succeeded(jobs, store, {"a.wav": b"sound"})

    (event,) = events_in(client.get(f"{JOBS}/{job.id}/events").text)

    assert event["event"] == "end"


def test_job_links_its_events(client: TestClient, jobs: ScriptedJobs) -> None:
    job = add_queued(jobs)

    assert client.get(f"{JOBS}/{job.id}").json()["links"]["events"] == f"{JOBS}/{job.id}/events"


def test_unknown_and_deleted_jobs_have_no_events(
    client: TestClient, jobs: ScriptedJobs, store: FakeObjectStore
) -> None:
    job = add_succeeded(jobs, store, {"a.wav": b"sound"})
    client.delete(f"{JOBS}/{job.id}")

    assert client.get(f"{JOBS}/{new_id()}/events").status_code == 404
    assert client.get(f"{JOBS}/{job.id}/events").status_code == 410


def test_database_that_fails_ends_the_stream_for_the_client_to_come_back(
    client: TestClient, jobs: ScriptedJobs
) -> None:
    def go_down() -> None:
        raise StorageError("The database did not answer.")

    job = add_queued(jobs)
    jobs.script = [nothing, go_down]

    response = client.get(f"{JOBS}/{job.id}/events")

    assert response.status_code == 200
    assert response.text.startswith("retry: 2000\n\n")
    assert [event["event"] for event in events_in(response.text)] == ["status"]


def test_server_that_is_to_stop_lets_go(app: FastAPI, client: TestClient, jobs: ScriptedJobs) -> None:
    def stop() -> None:
        app.state.is_stopping = True

    jobs.script = [nothing, nothing, stop]

    response = client.get(f"{JOBS}/{add_queued(jobs).id}/events")

    assert [event["event"] for event in events_in(response.text)] == ["status"]
    assert jobs.script == []


class _Request:
    """As much of a request as the stream looks at; the client goes away after `checks` looks."""

    def __init__(self, checks: int) -> None:
        self.app = SimpleNamespace(state=SimpleNamespace(is_stopping=False))
        self.checks = checks

    async def is_disconnected(self) -> bool:
        self.checks -= 1
        return self.checks < 0


@pytest.mark.anyio
async def test_silent_job_is_kept_alive_until_the_client_goes() -> None:
    view = JobView.of(make_job(), queue_position=3)
    seconds = iter(range(0, 1000, 5))
    request: Any = _Request(checks=10)

    stream = stream_events(request, view, lambda: view, last_id="", clock=lambda: float(next(seconds)))
    blocks = [block async for block in stream]

    heartbeats = [block for block in blocks if block.startswith(b":")]
    assert blocks[0].startswith(b"retry")
    assert blocks[1].startswith(b"event: status")
    assert 1 < len(heartbeats) < 10
    assert len(blocks) == 2 + len(heartbeats)
    assert HEARTBEAT_S < 30


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

"""`limpid up` as a service: the recording by URL, the result by REST, the news by webhook, whatever is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from sqlalchemy import update
from standardwebhooks import Webhook

from core.database import engine_of, write_session
from core.webhooks.tables import DeliveryRow
from tests.e2e.stack import JOB_TIMEOUT_S, RunningStack, wait_until
from tests.web_server import Received, Reply, WebServer, web_server
from worker.lease import utc_now

FRAMES = 2 * 16_000 + 11
REDELIVERY_TIMEOUT_S = 60.0  # a restarted worker and a sweep


class Elsewhere:
    """Serves a recording at /talk.wav; takes events, and holds those that come while `is_stuck`."""

    def __init__(self, recording: bytes) -> None:
        self._recording = recording
        self.is_stuck = False
        self.let_go = threading.Event()

    def __call__(self, request: Received) -> Reply:
        if request.method == "GET":
            return Reply(headers={"Content-Type": "audio/wav"}, body=self._recording)
        if self.is_stuck:
            self.let_go.wait(REDELIVERY_TIMEOUT_S)
        return Reply(status=204)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.random.default_rng(1).normal(scale=0.05, size=FRAMES), 16_000)
    return Elsewhere(path.read_bytes())


@pytest.fixture
def server(elsewhere: Elsewhere) -> Iterator[WebServer]:
    with web_server(elsewhere) as running:
        yield running
        elsewhere.let_go.set()


def submit(client: httpx.Client, server: WebServer) -> dict[str, Any]:
    body = {
        "input": {"url": server.url("/talk.wav")},
        "preset": "clean-only",
        "webhook": {"url": server.url("/hook"), "events": ["job.succeeded"]},
    }
    response = client.post("/api/v1/jobs", json=body)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def events_of(server: WebServer) -> list[Received]:
    return [request for request in server.received if request.method == "POST"]


def end_lease(stack: RunningStack, job_id: str) -> None:
    """Let the lease of the attempt that was lost end now, half a minute early."""
    engine = engine_of(f"sqlite:///{stack.data_dir / 'limpid.sqlite3'}")
    with write_session(engine) as session:
        session.execute(update(DeliveryRow).where(DeliveryRow.job_id == job_id).values(next_attempt_at=utc_now()))
    engine.dispose()


def verified(request: Received, stack: RunningStack) -> dict[str, Any]:
    """The event, if the server's own secret has signed it."""
    secret = (stack.data_dir / "webhook-secret").read_text(encoding="ascii").strip()
    event: dict[str, Any] = Webhook(secret).verify(request.body, request.headers)
    return event


def test_job_by_url_calls_back_with_a_result_that_can_be_fetched(
    shared_stack: RunningStack, server: WebServer, tmp_path: Path
) -> None:
    with httpx.Client(base_url=shared_stack.url, timeout=30, follow_redirects=True) as client:
        job = submit(client, server)
        wait_until(lambda: bool(events_of(server)), timeout_s=JOB_TIMEOUT_S, what="the event")
        event = verified(events_of(server)[0], shared_stack)
        enhanced = next(output for output in event["data"]["outputs"] if output["role"] == "enhanced")
        (tmp_path / "enhanced.wav").write_bytes(client.get(enhanced["href"]).raise_for_status().content)

        def delivery() -> dict[str, Any]:
            page = client.get("/api/v1/webhooks/deliveries", params={"job": job["id"]}).raise_for_status().json()
            [found] = page["deliveries"]
            return dict(found)

        wait_until(lambda: delivery()["status"] == "delivered", timeout_s=10, what="the log's entry")

    assert (event["type"], event["data"]["id"]) == ("job.succeeded", job["id"])
    assert event["data"]["input"]["duration_s"] == FRAMES / 16_000
    assert soundfile.info(tmp_path / "enhanced.wav").frames == FRAMES
    assert len(events_of(server)) == 1


def test_event_whose_worker_is_killed_while_it_sends_arrives_all_the_same(
    shared_stack: RunningStack, server: WebServer, elsewhere: Elsewhere
) -> None:
    elsewhere.is_stuck = True
    with httpx.Client(base_url=shared_stack.url, timeout=30) as client:
        job = submit(client, server)
        wait_until(lambda: bool(events_of(server)), timeout_s=JOB_TIMEOUT_S, what="the first attempt")
    for process_id, command in shared_stack.descendants().items():
        if "io,maintenance" in command:
            os.kill(process_id, signal.SIGKILL)
    end_lease(shared_stack, job["id"])
    elsewhere.is_stuck = False

    wait_until(lambda: len(events_of(server)) == 2, timeout_s=REDELIVERY_TIMEOUT_S, what="the second attempt")

    first, second = events_of(server)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert verified(second, shared_stack)["data"]["id"] == job["id"]

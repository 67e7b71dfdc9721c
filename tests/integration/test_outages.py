"""Servers that go away for a while: the processes stay, and go on when the servers are back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import redis
import soundfile

from core.jobs import JobStatus
from tests.integration.stack import Stack
from tests.servers import free_port, redis_server, wait_until

SAMPLE_RATE = 16_000

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A second of seeded noise."""
    path = tmp_path / "talk.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(7).standard_normal(SAMPLE_RATE), SAMPLE_RATE)
    return path


@pytest.fixture
def broker_port() -> int:
    """The port that the broker has before and after its restart."""
    return free_port()


@pytest.fixture
def stack(tmp_path: Path, broker_port: int) -> Iterator[Stack]:
    """SQLite, a folder, and a Redis that the test starts and stops."""
    opened = Stack.open(tmp_path / "data", {"LIMPID_BROKER_URL": f"redis://127.0.0.1:{broker_port}/0"})
    yield opened
    opened.close()


def test_workers_and_scheduler_outlive_a_broker_that_is_restarted(
    stack: Stack, recording: Path, broker_port: int
) -> None:
    with ExitStack() as first_broker:
        first_broker.enter_context(redis_server(port=broker_port))
        stack.start_housekeeping()
        worker = stack.start_worker(has_faults=False)
        assert stack.wait_until_ended(stack.submit(recording)).status is JobStatus.SUCCEEDED

    submitted_meanwhile = stack.submit(recording)

    assert stack.job(submitted_meanwhile).status is JobStatus.QUEUED
    with redis_server(port=broker_port) as url:
        assert stack.wait_until_ended(submitted_meanwhile).status is JobStatus.SUCCEEDED
        assert stack.wait_until_ended(stack.submit(recording)).status is JobStatus.SUCCEEDED
        assert worker.poll() is None
        with redis.Redis.from_url(url) as client:
            wait_until(lambda: client.llen("cpu.interactive") == 0, timeout_s=30, what="no message is left waiting")


def test_processes_that_start_before_their_broker_wait_for_it(stack: Stack, recording: Path, broker_port: int) -> None:
    stack.start_housekeeping()
    stack.start_worker(has_faults=False)
    job_id = stack.submit(recording)

    with redis_server(port=broker_port):
        assert stack.wait_until_ended(job_id).status is JobStatus.SUCCEEDED

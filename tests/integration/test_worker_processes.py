"""What is the processes' own, whatever the servers: the GPU worker's pool, the scheduler's clock, how both stop."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.filesystem_broker import MESSAGES_FOLDER
from core.fleet.queue_state import QueueState
from core.jobs import Device, JobStatus
from core.queue import MAINTENANCE_QUEUE
from tests.integration.stack import STOP_TIMEOUT_S, Stack, children_of
from tests.scraping import scrape
from tests.servers import free_port, wait_until
from worker.lease import utc_now

START_TIMEOUT_S = 60.0
SAMPLE_RATE = 16_000
GATED = "gated.wav"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def gpu_stack(tmp_path: Path) -> Iterator[Stack]:
    """An embedded stack whose jobs go to the GPU's queues; what they do needs no GPU."""
    opened = Stack.open(tmp_path / "data", {"LIMPID_DEVICE": "gpu"})
    yield opened
    opened.close()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A second of seeded noise whose runs wait at a gate."""
    path = tmp_path / GATED
    soundfile.write(path, 0.1 * np.random.default_rng(7).standard_normal(SAMPLE_RATE), SAMPLE_RATE)
    return path


def waits_for_tasks(pid: int) -> bool:
    """True when the main thread of a pool's process reads from a pipe."""
    return "pipe" in Path(f"/proc/{pid}/task/{pid}/wchan").read_text(encoding="utf-8")


def test_a_gpu_worker_runs_jobs_in_its_own_process(gpu_stack: Stack, recording: Path) -> None:
    worker = gpu_stack.start_worker("gpu.interactive,gpu.bulk")
    job_id = gpu_stack.submit(recording)
    running = gpu_stack.wait_until_running(job_id)

    assert running.device is Device.GPU
    assert children_of(worker) == []
    gpu_stack.open_gate(GATED)
    assert gpu_stack.wait_until_ended(job_id).status is JobStatus.SUCCEEDED
    assert gpu_stack.stop(worker) == 0


def test_a_stopped_gpu_worker_gives_its_job_back(gpu_stack: Stack, recording: Path) -> None:
    worker = gpu_stack.start_worker("gpu.interactive,gpu.bulk")
    job_id = gpu_stack.submit(recording)
    gpu_stack.wait_until_running(job_id)

    assert gpu_stack.stop(worker, signal.SIGTERM) == 0

    waiting = gpu_stack.job(job_id)
    assert waiting.status is JobStatus.QUEUED
    assert waiting.uncounted_attempts == waiting.attempt
    assert list(gpu_stack.settings.resolved_scratch_dir.iterdir()) == []


@pytest.mark.parametrize("limit", [{"LIMPID_WORKER_MAX_JOBS": "1"}, {"LIMPID_WORKER_MAX_MEMORY_MB": "64"}])
def test_a_process_at_its_limit_is_replaced_after_its_job(
    tmp_path: Path, recording: Path, limit: dict[str, str]
) -> None:
    port = free_port()
    stack = Stack.open(tmp_path / "data", {**limit, "LIMPID_METRICS_PORT": str(port)})
    try:
        stack.start_worker()
        stack.open_gate(GATED)

        ended = [stack.wait_until_ended(stack.submit(recording)) for _ in range(2)]
        # The second process goes on with the count of the first; it counts a run just after the job has ended.
        wait_until(
            lambda: scrape(port)["limpid_job_runs_total"] == 2, timeout_s=START_TIMEOUT_S, what="both runs are counted"
        )
    finally:
        stack.close()

    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.SUCCEEDED, 1)] * 2
    first, second = stack.runs_of(GATED)
    assert first != second


def test_a_worker_writes_nothing_but_its_log_from_its_start_to_its_stop(tmp_path: Path) -> None:
    stack = Stack.open(tmp_path / "data", {"LIMPID_LOG_FORMAT": "json"})
    log = stack.data_dir / "processes.log"
    try:
        worker = stack.start_worker(has_faults=False)
        wait_until(lambda: b" ready." in log.read_bytes(), timeout_s=START_TIMEOUT_S, what="the start")

        assert stack.stop(worker, signal.SIGTERM) == 0
    finally:
        stack.close()

    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert events[-1]["message"] == "worker_stopped"


def test_a_process_below_its_limits_runs_job_after_job(tmp_path: Path, recording: Path) -> None:
    stack = Stack.open(tmp_path / "data", {"LIMPID_WORKER_MAX_JOBS": "10", "LIMPID_WORKER_MAX_MEMORY_MB": "8192"})
    try:
        stack.start_worker()
        stack.open_gate(GATED)

        for _ in range(2):
            stack.wait_until_ended(stack.submit(recording))
    finally:
        stack.close()

    first, second = stack.runs_of(GATED)
    assert first == second


def test_a_worker_that_cannot_run_jobs_says_so_and_stops(tmp_path: Path, recording: Path) -> None:
    stack = Stack.open(tmp_path / "data", {})
    try:
        (stack.gates / "incomplete").touch()
        worker = stack.start_worker()
        job_id = stack.submit(recording)

        status = worker.wait(START_TIMEOUT_S)

        job = stack.job(job_id)
        stack.processes.remove(worker)
    finally:
        stack.close()
    log = (stack.data_dir / "processes.log").read_text(encoding="utf-8")
    assert status == 1
    assert "worker_cannot_run_jobs" in log
    assert "import of core.enhancement.pipeline halted" in log
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)


def test_a_whole_process_group_that_is_stopped_gives_its_job_back(tmp_path: Path, recording: Path) -> None:
    stack = Stack.open(tmp_path / "data", {})
    try:
        worker = stack.start_worker()
        job_id = stack.submit(recording)
        stack.wait_until_running(job_id)

        os.killpg(worker.pid, signal.SIGTERM)  # as systemd and a closed terminal do: the pool's children are told too
        stack.processes.remove(worker)
        worker.wait(STOP_TIMEOUT_S)
        waiting = stack.job(job_id)
        states = stack.backend.fleet.states(now=utc_now())
    finally:
        stack.close()

    assert waiting.status is JobStatus.QUEUED
    assert (waiting.attempt, waiting.uncounted_attempts) == (1, 1)
    assert list(stack.settings.resolved_scratch_dir.iterdir()) == []
    assert [state.workers for state in states] == [0] * len(states)


def test_workers_are_known_and_idle_until_they_have_a_job(tmp_path: Path, recording: Path) -> None:
    stack = Stack.open(tmp_path / "data", {})

    def queue() -> QueueState:
        [state] = [state for state in stack.backend.fleet.states(now=utc_now()) if state.name == "cpu.interactive"]
        return state

    try:
        stack.start_worker()
        wait_until(lambda: queue().workers == 1, timeout_s=START_TIMEOUT_S, what="the worker says that it is there")
        before = queue()
        stack.wait_until_running(stack.submit(recording))
        during = queue()
        stack.open_gate(GATED)
    finally:
        stack.close()

    assert before.idle_since is not None
    assert (during.running, during.waiting) == (1, 0)


def test_a_process_that_is_killed_while_it_waits_takes_nothing_with_it(tmp_path: Path, recording: Path) -> None:
    stack = Stack.open(tmp_path / "data", {})

    try:
        worker = stack.start_worker()
        stack.open_gate(GATED)
        first = stack.wait_until_ended(stack.submit(recording))
        [process] = stack.runs_of(GATED)
        wait_until(lambda: waits_for_tasks(int(process)), timeout_s=START_TIMEOUT_S, what="the process waits")
        os.kill(int(process), signal.SIGKILL)

        second = stack.wait_until_ended(stack.submit(recording))
        status = stack.stop(worker)
    finally:
        stack.close()

    assert [(job.status, job.attempt) for job in (first, second)] == [(JobStatus.SUCCEEDED, 1)] * 2
    assert status == 0


def test_the_scheduler_asks_for_sweeps_until_it_is_stopped(gpu_stack: Stack) -> None:
    scheduler = gpu_stack.start_scheduler()
    messages = gpu_stack.settings.broker_dir / MESSAGES_FOLDER

    def has_asked_twice() -> bool:
        return len(list(messages.glob(f"*.{MAINTENANCE_QUEUE}.msg"))) >= 2

    wait_until(has_asked_twice, timeout_s=START_TIMEOUT_S, what="two sweeps are asked for")

    assert gpu_stack.stop(scheduler, signal.SIGTERM) == 0
    assert not list(gpu_stack.data_dir.rglob("celerybeat*"))

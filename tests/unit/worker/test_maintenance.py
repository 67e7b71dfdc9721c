"""The sweep, on fakes."""

from __future__ import annotations

from datetime import timedelta

from core.jobs import JobStatus
from tests.factories import NOON, make_job
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from worker.maintenance import sweep


def test_what_was_never_sent_is_sent_once() -> None:
    runs, queue, store = FakeJobRepository(), FakeJobQueue(), FakeObjectStore()
    job = make_job()
    runs.add(job)
    later = NOON + timedelta(seconds=10)

    assert sweep(runs, queue, store, now=later) == 1
    assert sweep(runs, queue, store, now=later) == 0
    assert queue.sent == [(job.id, "cpu.interactive")]


def test_a_broker_that_is_down_leaves_the_jobs_due() -> None:
    runs, queue, store = FakeJobRepository(), FakeJobQueue(), FakeObjectStore()
    for _ in range(3):
        runs.add(make_job())
    later = NOON + timedelta(seconds=10)
    queue.is_down = True

    assert sweep(runs, queue, store, now=later) == 0
    queue.is_down = False

    assert sweep(runs, queue, store, now=later) == 3


def test_a_job_that_lost_every_worker_leaves_no_outputs() -> None:
    runs, queue, store = FakeJobRepository(max_attempts=2), FakeJobQueue(), FakeObjectStore()
    job = make_job()
    runs.add(job)
    for attempt in (1, 2):
        now = NOON + timedelta(minutes=attempt)
        assert runs.claim(job.id, worker="w", lease_s=1, now=now) is not None
        store.put(f"jobs/{job.id}/{attempt}/00", b"half")
    store.put(job.input.key, b"sound")

    sweep(runs, queue, store, now=NOON + timedelta(hours=1))

    assert runs.get(job.id).status is JobStatus.FAILED
    assert set(store.objects) == {job.input.key}
    assert queue.sent == []


def test_a_store_that_is_down_does_not_keep_jobs_from_being_sent() -> None:
    runs, queue, store = FakeJobRepository(max_attempts=1), FakeJobQueue(), FakeObjectStore()
    lost, waiting = make_job(), make_job()
    for job in (lost, waiting):
        runs.add(job)
    runs.claim(lost.id, worker="w", lease_s=1, now=NOON)
    store.is_down = True

    assert sweep(runs, queue, store, now=NOON + timedelta(minutes=1)) == 1
    assert queue.sent == [(waiting.id, "cpu.interactive")]

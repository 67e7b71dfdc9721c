"""The sweep, on fakes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.fleet.queue_state import QueueState
from core.jobs import Device, JobStatus, Lane
from tests.factories import NOON, make_job
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.monitoring_fakes import FakeFleet
from worker.maintenance import replace_lost_messages, sweep


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


class TestLostMessages:
    """A job that has waited for long, so that its next message is long from now."""

    LATER = NOON + timedelta(hours=3)

    @pytest.fixture
    def runs(self) -> FakeJobRepository:
        runs = FakeJobRepository()
        job = make_job()
        runs.add(job)
        for sent in range(1, 9):
            runs.mark_sent(job.id, now=self.LATER - timedelta(seconds=10 * sent))
        return runs

    @pytest.fixture
    def fleet(self) -> FakeFleet:
        fleet = FakeFleet()
        fleet.queues = [QueueState(device=Device.CPU, lane=Lane.INTERACTIVE, waiting=1, waiting_since=NOON)]
        return fleet

    def replace(self, runs: FakeJobRepository, fleet: FakeFleet, queue: FakeJobQueue) -> int:
        return replace_lost_messages(runs, fleet, queue, older_than_s=30.0, now=self.LATER)

    def test_jobs_of_a_queue_without_messages_are_sent_at_once(self, runs: FakeJobRepository, fleet: FakeFleet) -> None:
        queue = FakeJobQueue()
        assert sweep(runs, queue, FakeObjectStore(), now=self.LATER) == 0

        assert self.replace(runs, fleet, queue) == 1

        assert sweep(runs, queue, FakeObjectStore(), now=self.LATER) == 1
        assert len(queue.sent) == 1

    def test_a_queue_with_messages_is_left_alone(self, runs: FakeJobRepository, fleet: FakeFleet) -> None:
        queue = FakeJobQueue()
        queue.send_job("another", device=Device.CPU, lane=Lane.INTERACTIVE)

        assert self.replace(runs, fleet, queue) == 0

    def test_messages_of_another_queue_do_not_count(self, runs: FakeJobRepository, fleet: FakeFleet) -> None:
        queue = FakeJobQueue()
        queue.send_job("another", device=Device.CPU, lane=Lane.BULK)

        assert self.replace(runs, fleet, queue) == 1

    def test_a_message_on_its_way_is_waited_for(self, runs: FakeJobRepository, fleet: FakeFleet) -> None:
        since = self.LATER - timedelta(seconds=29)
        fleet.queues = [QueueState(device=Device.CPU, lane=Lane.INTERACTIVE, waiting=1, waiting_since=since)]

        assert self.replace(runs, fleet, FakeJobQueue()) == 0

    def test_a_broker_that_is_down_is_no_error(self, runs: FakeJobRepository, fleet: FakeFleet) -> None:
        queue = FakeJobQueue()
        queue.is_down = True

        assert self.replace(runs, fleet, queue) == 0

"""The lease of a run: its heartbeat, its progress, and how it tells a run to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from core.errors import JobCancelled, LeaseLost, StorageError
from core.jobs import Job, JobStatus, Progress, Stage
from tests.factories import make_job
from tests.fakes import FakeJobRepository
from tests.servers import wait_until
from worker import lease as lease_module
from worker.lease import Lease, RunInterrupted, utc_now

LEASE_S = 0.3


@pytest.fixture
def runs() -> FakeJobRepository:
    """An empty repository."""
    return FakeJobRepository()


@contextmanager
def held(
    runs: FakeJobRepository,
    *,
    progress_interval_s: float = 1e-6,
    lease_s: float = LEASE_S,
    is_shutting_down: Callable[[], bool] = lambda: False,
    stall_s: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Lease, Job]]:
    """A running lease on a claimed job."""
    job = make_job()
    runs.add(job)
    claimed = runs.claim(job.id, worker="w", lease_s=lease_s, now=utc_now())
    assert claimed is not None
    lease = Lease(
        runs,
        claimed,
        lease_s=lease_s,
        progress_interval_s=progress_interval_s,
        is_shutting_down=is_shutting_down,
        stall_s=stall_s,
        clock=clock,
    )
    with lease:
        yield lease, claimed


def raises(error: type[Exception], lease: Lease) -> bool:
    """True when the lease says so."""
    try:
        lease.check()
    except error:
        return True
    return False


def test_a_quiet_lease_lets_the_run_go_on(runs: FakeJobRepository) -> None:
    with held(runs) as (lease, job):
        expires_at = job.lease_expires_at
        assert expires_at is not None
        wait_until(
            lambda: (runs.get(job.id).lease_expires_at or expires_at) > expires_at + timedelta(seconds=2 * LEASE_S),
            timeout_s=10,
            what="the lease has outlived its first term twice",
        )
        lease.check()


def test_the_heartbeat_stops_with_the_run(runs: FakeJobRepository) -> None:
    with held(runs) as (lease, _):
        pass
    runs.is_down = True  # a heartbeat would log a warning now, and find the lease lost later

    lease.check()
    assert not lease._thread.is_alive()


def test_a_lease_that_was_taken_stops_the_run(runs: FakeJobRepository) -> None:
    with held(runs) as (lease, _):
        runs.sweep(now=utc_now() + timedelta(days=1))

        wait_until(lambda: raises(LeaseLost, lease), timeout_s=10, what="the heartbeat finds the lease gone")


def test_the_heartbeat_learns_of_a_cancel(runs: FakeJobRepository) -> None:
    with held(runs) as (lease, job):
        runs.request_cancel(job.id, now=utc_now())

        wait_until(lambda: raises(JobCancelled, lease), timeout_s=10, what="the heartbeat learns of the cancel")


def test_a_database_that_stays_away_costs_the_lease(runs: FakeJobRepository) -> None:
    with held(runs) as (lease, _):
        runs.is_down = True

        wait_until(lambda: raises(LeaseLost, lease), timeout_s=10, what="the lease has expired unextended")


def test_a_short_outage_of_the_database_does_not_cost_the_lease(runs: FakeJobRepository) -> None:
    failures: list[bool] = []
    extend = runs.extend_lease

    def flaky(*args: Any, **kwargs: Any) -> JobStatus:  # noqa: ANN401
        if not failures:
            failures.append(True)
            raise StorageError("The database did not answer.")
        return extend(*args, **kwargs)

    runs.extend_lease = flaky  # type: ignore[method-assign]
    with held(runs, lease_s=1.0) as (lease, job):
        first = job.lease_expires_at
        wait_until(lambda: runs.get(job.id).lease_expires_at != first, timeout_s=10, what="a heartbeat got through")

        lease.check()
    assert failures


def test_a_shutdown_stops_the_run(runs: FakeJobRepository) -> None:
    with held(runs, is_shutting_down=lambda: True) as (lease, _), pytest.raises(RunInterrupted):
        lease.check()


def test_progress_is_stored_and_brings_news_of_a_cancel(runs: FakeJobRepository) -> None:
    half = Progress(fraction=0.5)
    with held(runs, lease_s=60) as (lease, job):
        lease.report(Stage.ENHANCE, half)

        assert runs.get(job.id).progress == half
        runs.request_cancel(job.id, now=utc_now())
        with pytest.raises(JobCancelled):
            lease.report(Stage.ENHANCE, half)


def test_progress_is_stored_at_most_once_in_the_interval(runs: FakeJobRepository) -> None:
    with held(runs, lease_s=60, progress_interval_s=60) as (lease, job):
        for step in range(100):
            lease.report(Stage.ENHANCE, Progress(fraction=step / 100))

        assert runs.get(job.id).progress == Progress(fraction=0.0)


def test_progress_that_cannot_be_stored_does_not_stop_the_run(runs: FakeJobRepository) -> None:
    with held(runs, lease_s=60) as (lease, job):
        runs.is_down = True
        lease.report(Stage.ENHANCE, Progress(fraction=0.5))
        runs.is_down = False

        assert runs.get(job.id).progress.fraction == 0.0


def test_persist_tries_again_after_transient_faults(runs: FakeJobRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RETRY_DELAYS_S", (0.01, 0.01, 0.01))
    calls = []

    def third_time_lucky() -> str:
        calls.append(time.monotonic())
        if len(calls) < 3:
            raise StorageError("The object store did not answer.")
        return "done"

    with held(runs) as (lease, _):
        assert lease.persist(third_time_lucky) == "done"
    assert len(calls) == 3


def test_persist_gives_up_in_the_end(runs: FakeJobRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RETRY_DELAYS_S", (0.01, 0.01))

    def never() -> None:
        raise StorageError("The object store did not answer.")

    with held(runs) as (lease, _), pytest.raises(StorageError):
        lease.persist(never)


def test_persist_stops_waiting_when_the_lease_is_lost(runs: FakeJobRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RETRY_DELAYS_S", (3600.0,))

    def never() -> None:
        raise StorageError("The object store did not answer.")

    with held(runs) as (lease, _):
        runs.sweep(now=utc_now() + timedelta(days=1))
        with pytest.raises(LeaseLost):
            lease.persist(never)


def test_a_job_that_was_not_claimed_has_no_lease(runs: FakeJobRepository) -> None:
    with pytest.raises(ValueError, match="not been claimed"):
        Lease(runs, make_job(), lease_s=1, progress_interval_s=1, is_shutting_down=lambda: False)


class ManualClock:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_run_that_stands_still_lets_its_lease_expire(
    runs: FakeJobRepository, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    with held(runs, stall_s=900, clock=clock) as (lease, job):
        lease.report(Stage.ENHANCE, Progress(fraction=0.5))
        clock.now_s = 900.0

        wait_until(lambda: raises(LeaseLost, lease), timeout_s=10, what="the watchdog sees the run stand still")
        expires_at = runs.get(job.id).lease_expires_at
        assert expires_at is not None

        swept = runs.sweep(now=expires_at)

    assert [due.id for due in swept.to_send] == [job.id]
    assert "run_stalled" in caplog.messages


@pytest.mark.parametrize("is_reported", [True, False])
def test_a_run_that_gets_on_keeps_its_lease(runs: FakeJobRepository, is_reported: bool) -> None:
    clock = ManualClock()
    with held(runs, stall_s=900, clock=clock) as (lease, job):
        clock.now_s = 899.0
        if is_reported:
            lease.report(Stage.ENHANCE, Progress(fraction=0.5))
        else:
            lease.note_progress()
        clock.now_s = 1798.0
        before = runs.get(job.id).lease_expires_at

        wait_until(lambda: runs.get(job.id).lease_expires_at != before, timeout_s=10, what="the lease is extended")

        lease.check()


def test_progress_that_is_not_stored_counts_as_progress(runs: FakeJobRepository) -> None:
    clock = ManualClock()
    with held(runs, stall_s=900, clock=clock, progress_interval_s=3600) as (lease, job):
        lease.report(Stage.ENHANCE, Progress(fraction=0.1))
        clock.now_s = 899.0
        lease.report(Stage.ENHANCE, Progress(fraction=0.2))
        clock.now_s = 1798.0
        before = runs.get(job.id).lease_expires_at
        wait_until(lambda: runs.get(job.id).lease_expires_at != before, timeout_s=10, what="the lease is extended")

        lease.check()
        assert runs.get(job.id).progress.fraction == 0.1

"""How long a queued job waits, by what is before it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.estimation.queue_load import QueueLoad, WaitingJobs, mean_s
from core.estimation.queue_load_sql import SqlQueueLoads
from core.fleet.fleet_sql import SqlFleet
from core.jobs import Lane
from core.repository_sql import SqlJobRepository
from tests.contracts.queue_loads import QueueLoadContract

RTF = {"speech": 0.1, "high": 2.0}


def waiting(preset: str, count: int, *, audio_s: float, measured: int | None = None) -> WaitingJobs:
    return WaitingJobs(preset=preset, count=count, measured=count if measured is None else measured, audio_s=audio_s)


def load(
    *,
    workers: int = 2,
    running: int = 2,
    left_s: float = 10.0,
    interactive: tuple[WaitingJobs, ...] = (),
    bulk: tuple[WaitingJobs, ...] = (),
) -> QueueLoad:
    return QueueLoad(
        workers={Lane.INTERACTIVE: workers, Lane.BULK: workers},
        running=running,
        running_left_s=left_s,
        waiting={Lane.INTERACTIVE: interactive, Lane.BULK: bulk},
    )


def wait_s(load: QueueLoad, position: int, lane: Lane = Lane.INTERACTIVE) -> float | None:
    return load.wait_s(lane, position, rtf_of=RTF.__getitem__)


def test_an_idle_worker_takes_the_job_at_once() -> None:
    assert wait_s(load(workers=3, running=2), 0) == 0.0
    assert wait_s(load(workers=3, running=2), 1) != 0.0


def test_without_a_worker_nobody_knows() -> None:
    assert wait_s(load(workers=0, running=0), 0) is None


def test_the_next_job_waits_for_what_runs() -> None:
    assert wait_s(load(left_s=10.0), 0) == 5.0


def test_what_is_ahead_is_shared_by_the_workers() -> None:
    # Ten jobs of 60 s of audio at an RTF of 0.1: 6 s each.
    queue = (waiting("speech", 10, audio_s=600.0),)

    assert wait_s(load(left_s=10.0, interactive=queue), 4) == pytest.approx((10 + 4 * 6) / 2)


def test_presets_count_by_what_each_takes() -> None:
    queue = (waiting("speech", 1, audio_s=100.0), waiting("high", 1, audio_s=100.0))

    assert mean_s(queue, rtf_of=RTF.__getitem__) == pytest.approx((10 + 200) / 2)


def test_recordings_of_unknown_length_are_taken_for_average() -> None:
    queue = (waiting("speech", 10, audio_s=300.0, measured=5), waiting("high", 2, audio_s=0.0, measured=0))

    assert mean_s(queue, rtf_of=RTF.__getitem__) == pytest.approx(6.0)


def test_nobody_knows_how_long_only_unknown_lengths_take() -> None:
    queue = (waiting("speech", 3, audio_s=0.0, measured=0),)

    assert wait_s(load(interactive=queue), 2) is None
    assert wait_s(load(interactive=queue, left_s=4.0), 0) == 2.0  # nothing waits before it


def test_the_other_lane_takes_its_turns() -> None:
    # The workers alternate: before the third job of one lane, three of the other have gone, if so many wait.
    own, others = (waiting("speech", 5, audio_s=300.0),), (waiting("speech", 2, audio_s=400.0),)

    assert wait_s(load(left_s=0.0, interactive=own, bulk=others), 2) == pytest.approx((2 * 6 + 2 * 20) / 2)


def test_a_lane_that_these_workers_do_not_serve_is_not_ahead() -> None:
    queue = QueueLoad(
        workers={Lane.INTERACTIVE: 1, Lane.BULK: 0},
        running=1,
        running_left_s=3.0,
        waiting={Lane.BULK: (waiting("high", 9, audio_s=9000.0),)},
    )

    assert wait_s(queue, 0) == 3.0


class TestSqlite(QueueLoadContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def engine(self, sqlite_engine: Engine) -> Engine:
        return sqlite_engine

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def fleet(self, engine: Engine) -> SqlFleet:
        return SqlFleet(engine)

    @pytest.fixture
    def loads(self, engine: Engine) -> SqlQueueLoads:
        return SqlQueueLoads(engine)

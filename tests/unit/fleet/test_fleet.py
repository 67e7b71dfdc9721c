"""Worker processes and queues on SQLite, and the rule of a stall by itself."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from core.fleet.fleet_sql import SqlFleet
from core.fleet.queue_state import STALLED_AFTER_S, QueueState
from core.jobs import Device, Lane
from core.repository_sql import SqlJobRepository
from tests.contracts.fleet import KEY_MAX_RUNNING, FleetContract
from tests.factories import NOON


class TestSqlite(FleetContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def engine(self, sqlite_engine: Engine) -> Engine:
        return sqlite_engine

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def fleet(self, engine: Engine) -> SqlFleet:
        return SqlFleet(engine, key_max_running=KEY_MAX_RUNNING)


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


LONG, SHORT = ago(STALLED_AFTER_S), ago(STALLED_AFTER_S - 1)


@pytest.mark.parametrize(
    ("waiting_since", "idle_since", "is_stalled"),
    [
        (LONG, LONG, True),
        (SHORT, LONG, False),  # it has just come
        (LONG, SHORT, False),  # a worker between two jobs of a long queue
        (LONG, None, False),  # all are busy, or there is none
        (None, LONG, False),
    ],
)
def test_a_stall_is_an_old_job_beside_a_worker_that_is_idle_for_long(
    waiting_since: datetime | None, idle_since: datetime | None, is_stalled: bool
) -> None:
    state = QueueState(
        device=Device.CPU, lane=Lane.BULK, waiting=1, waiting_since=waiting_since, workers=1, idle_since=idle_since
    )

    assert state.is_stalled(now=NOON) is is_stalled


@pytest.mark.parametrize(
    ("workers", "waiting_since", "has_none"), [(0, LONG, True), (0, SHORT, False), (1, LONG, False), (0, None, False)]
)
def test_a_queue_without_workers_is_told_apart_from_a_stall(
    workers: int, waiting_since: datetime | None, has_none: bool
) -> None:
    state = QueueState(device=Device.CPU, lane=Lane.BULK, waiting_since=waiting_since, workers=workers)

    assert state.has_no_workers(now=NOON) is has_none
    assert not state.is_stalled(now=NOON)

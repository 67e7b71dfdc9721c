"""The census: counted on SQLite, and asked for seldom."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.errors import StorageError
from core.monitoring.census import CACHE_S, RecentCensus
from tests.contracts.census import CensusContract
from tests.factories import NOON
from tests.monitoring_fakes import FakeCensusTaker, FakeFleet


class TestSqlite(CensusContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def engine(self, sqlite_engine: Engine) -> Engine:
        return sqlite_engine


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def recent(fleet: FakeFleet, clock: Clock) -> RecentCensus:
    return RecentCensus(FakeCensusTaker(), fleet, now=lambda: NOON, clock=clock)


def test_many_questions_at_once_are_one_for_the_database(recent: RecentCensus, fleet: FakeFleet, clock: Clock) -> None:
    for at_s in (0.0, 1.0, CACHE_S - 0.1):
        clock.now_s = at_s
        recent.get()
    assert fleet.asked == 1

    clock.now_s = CACHE_S
    recent.get()

    assert fleet.asked == 2


def test_a_failure_is_not_kept(recent: RecentCensus, fleet: FakeFleet) -> None:
    fleet.is_down = True
    with pytest.raises(StorageError):
        recent.get()
    fleet.is_down = False

    assert recent.get().queues == fleet.queues

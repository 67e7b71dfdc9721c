"""Limits of API keys: the counting on the fakes and SQLite, and the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from api.rate_limit import rate_limit_headers
from core.access.limits import DAY_S, QUEUE_RETRY_S, Limits, Usage, check_limits, standings
from core.access.usage_sql import SqlUsageRepository
from core.errors import LimitReached
from core.ids import first_id_at, new_id
from core.repository_sql import SqlJobRepository
from tests.access_fakes import FakeUsageRepository
from tests.contracts.usage import KEY_MAX_RUNNING, QUEUED_AT_MOST, KeyLimitContract, UsageContract
from tests.factories import NOON
from tests.fakes import FakeJobRepository

LIMITS = Limits(queued=10, bytes_per_day=1000)


class TestFakes(UsageContract):
    """The fakes obey the contract, so that tests on them mean something."""

    @pytest.fixture
    def repository(self) -> FakeJobRepository:
        return FakeJobRepository(key_max_running=KEY_MAX_RUNNING)

    @pytest.fixture
    def usage(self, repository: FakeJobRepository) -> FakeUsageRepository:
        return FakeUsageRepository(repository)


class TestSqlite(UsageContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def engine(self, sqlite_engine: Engine) -> Engine:
        return sqlite_engine

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine, key_max_running=KEY_MAX_RUNNING)

    @pytest.fixture
    def usage(self, engine: Engine) -> SqlUsageRepository:
        return SqlUsageRepository(engine)


class TestSqliteKeyLimits(KeyLimitContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def limited(self, sqlite_engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(sqlite_engine, key_limits=Limits(queued=QUEUED_AT_MOST))


@pytest.mark.parametrize(
    ("usage", "size_bytes"),
    [(Usage(), 1000), (Usage(queued=9, bytes_last_day=999, oldest_at=NOON), 1), (Usage(bytes_last_day=1000), 0)],
)
def test_what_reaches_a_limit_exactly_is_allowed(usage: Usage, size_bytes: int) -> None:
    check_limits(LIMITS, usage, size_bytes=size_bytes, now=NOON)


def test_full_queue_takes_no_more() -> None:
    with pytest.raises(LimitReached, match=r"10 jobs .* the limit is 10") as caught:
        check_limits(LIMITS, Usage(queued=10), size_bytes=0, now=NOON)

    assert caught.value.retry_after_s == QUEUE_RETRY_S


def test_bytes_are_free_again_a_day_after_the_oldest_were_sent() -> None:
    usage = Usage(bytes_last_day=1000, oldest_at=NOON)

    with pytest.raises(LimitReached, match="1 more would pass the limit of 1000") as caught:
        check_limits(LIMITS, usage, size_bytes=1, now=NOON + timedelta(hours=1))

    assert caught.value.retry_after_s == pytest.approx(DAY_S - 3600, abs=1)


def test_without_limits_everything_is_allowed() -> None:
    check_limits(Limits(), Usage(queued=10**6, bytes_last_day=10**15), size_bytes=10**12, now=NOON)

    assert not Limits(running=1).refuse
    assert standings(Limits(running=1), Usage(), now=NOON) == []


def test_header_fields_tell_what_is_left() -> None:
    left = standings(LIMITS, Usage(queued=4, bytes_last_day=1200, oldest_at=NOON), now=NOON + timedelta(hours=23))

    assert rate_limit_headers(left) == {
        "RateLimit-Policy": '"queued";q=10, "bytes";q=1000;qu="content-bytes";w=86400',
        "RateLimit": '"queued";r=6, "bytes";r=0;t=3601',
    }
    assert rate_limit_headers([]) == {}


def test_first_id_of_a_time_divides_the_ids_by_when_they_were_made() -> None:
    before = first_id_at(datetime.now(UTC))
    made = new_id()
    after = first_id_at(datetime.now(UTC) + timedelta(seconds=1))

    assert before < made < after

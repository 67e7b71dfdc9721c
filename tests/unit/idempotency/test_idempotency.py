"""Idempotency keys: the stores' contract, what a key and a fingerprint are, and one attempt's life."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from core.errors import IdempotencyInFlight, IdempotencyMismatch, InvalidInput, StorageError
from core.idempotency import LOCK_S, IdempotencyRecord, IdempotentAttempt, fingerprint_of, parse_key
from core.idempotency_sql import SqlIdempotencyRepository
from tests.access_fakes import FakeIdempotencyRepository
from tests.contracts.idempotency import IdempotencyContract
from tests.factories import NOON

FIRST, SECOND = "0199a1b2-7c3d-7e4f-8a5b-000000000001", "0199a1b2-7c3d-7e4f-8a5b-000000000002"


class TestFakeIdempotencyRepository(IdempotencyContract):
    """The fake obeys the contract, so that tests on it mean something."""

    @pytest.fixture
    def keys(self) -> FakeIdempotencyRepository:
        return FakeIdempotencyRepository()


class TestSqliteIdempotencyRepository(IdempotencyContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def keys(self, sqlite_engine: Engine) -> SqlIdempotencyRepository:
        return SqlIdempotencyRepository(sqlite_engine)


@pytest.mark.parametrize(("header", "key"), [("abc", "abc"), ('"8e03-97"', "8e03-97"), (' "a" ', "a"), ('"', '"')])
def test_key_is_read_quoted_or_bare(header: str, key: str) -> None:
    assert parse_key(header) == key


@pytest.mark.parametrize("header", ["", '""', " ", "a b", "ä", "a" * 256, "a\x00"])
def test_what_is_no_key_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput, match="255"):
        parse_key(header)


def test_fingerprint_is_of_the_meaning() -> None:
    fingerprint = fingerprint_of({"a": 1, "b": {"c": [1, 2], "d": None}})

    assert fingerprint == fingerprint_of({"b": {"d": None, "c": [1, 2]}, "a": 1})
    assert fingerprint != fingerprint_of({"a": 1, "b": {"c": [2, 1], "d": None}})


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class TestIdempotentAttempt:
    @pytest.fixture
    def keys(self) -> FakeIdempotencyRepository:
        return FakeIdempotencyRepository()

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def jobs(self) -> set[str]:
        return set()

    @pytest.fixture
    def attempt(self, keys: FakeIdempotencyRepository, clock: Clock, jobs: set[str]) -> Callable[[], IdempotentAttempt]:
        """Makes attempts under one key."""
        return lambda: IdempotentAttempt(keys, owner=None, key="k", has_job=jobs.__contains__, clock=clock)

    def test_second_request_finds_the_reply_of_the_first(self, attempt: Callable[[], IdempotentAttempt]) -> None:
        with attempt() as first:
            assert first.settle("f", job_id=FIRST) is None
            first.complete(job_id=FIRST, status=202, body="{}")

        with attempt() as second:
            earlier = second.settle("f", job_id=SECOND)

        assert earlier is not None
        assert (earlier.job_id, earlier.status, earlier.body) == (FIRST, 202, "{}")

    def test_other_request_under_the_key_is_refused(self, attempt: Callable[[], IdempotentAttempt]) -> None:
        with attempt() as first:
            first.settle("f", job_id=FIRST)
            first.complete(job_id=FIRST, status=202, body="{}")

        with attempt() as second, pytest.raises(IdempotencyMismatch):
            second.settle("g", job_id=SECOND)

    def test_failed_request_can_be_tried_again_with_other_content(
        self, attempt: Callable[[], IdempotentAttempt]
    ) -> None:
        with attempt() as first:
            first.settle("f", job_id=FIRST)

        with attempt() as second:
            assert second.settle("g", job_id=SECOND) is None

    def test_request_that_made_its_job_but_lost_its_reply_makes_no_other(
        self, attempt: Callable[[], IdempotentAttempt], jobs: set[str]
    ) -> None:
        with attempt() as first:
            first.settle("f", job_id=FIRST)
            jobs.add(FIRST)

        with attempt() as second:
            earlier = second.settle("f", job_id=SECOND)
            assert earlier is not None
            assert (earlier.job_id, earlier.body) == (FIRST, None)
            second.complete(job_id=FIRST, status=202, body="{}")
        with attempt() as third:
            again = third.settle("f", job_id=SECOND)

        assert again is not None
        assert again.body == "{}"

    def test_dead_request_whose_job_exists_is_recognized_by_its_content(
        self, attempt: Callable[[], IdempotentAttempt], jobs: set[str], clock: Clock
    ) -> None:
        first = attempt().__enter__()  # its process dies: nothing is unlocked
        first.settle("f", job_id=FIRST)
        jobs.add(FIRST)
        with pytest.raises(IdempotencyInFlight):
            attempt().__enter__()
        clock.advance(LOCK_S)

        with attempt() as second, pytest.raises(IdempotencyMismatch):
            second.settle("g", job_id=SECOND)

    def test_request_in_progress_keeps_its_lock_by_itself(
        self, keys: FakeIdempotencyRepository, attempt: Callable[[], IdempotentAttempt], clock: Clock
    ) -> None:
        extended = threading.Semaphore(0)
        extend = keys.extend

        def counted(record: IdempotencyRecord, *, now: datetime) -> None:
            extend(record, now=now)
            extended.release()

        keys.extend = counted  # type: ignore[method-assign]
        first = IdempotentAttempt(keys, owner=None, key="k", has_job=lambda _: False, clock=clock, extend_after_s=0.002)
        with first:
            for _ in range(5):
                clock.advance(LOCK_S / 2)
                while extended.acquire(blocking=False):
                    pass  # it was extended before the clock moved
                for _ in range(2):  # one may have been under way before the clock moved
                    assert extended.acquire(timeout=10)
                with pytest.raises(IdempotencyInFlight):
                    attempt().__enter__()
            assert first.settle("f", job_id=FIRST) is None

        with attempt() as second:
            assert second.settle("g", job_id=SECOND) is None

    def test_lock_survives_a_database_that_does_not_answer_for_a_moment(
        self, keys: FakeIdempotencyRepository, clock: Clock
    ) -> None:
        asked = threading.Semaphore(0)

        def fail(record: IdempotencyRecord, *, now: datetime) -> None:
            asked.release()
            raise StorageError("The database did not answer.")

        keys.extend = fail  # type: ignore[method-assign]
        first = IdempotentAttempt(keys, owner=None, key="k", has_job=lambda _: False, clock=clock, extend_after_s=0.002)
        with first:
            for _ in range(3):  # it goes on asking
                assert asked.acquire(timeout=10)
            assert first.settle("f", job_id=FIRST) is None

    def test_request_that_lost_its_lock_makes_no_job(
        self, attempt: Callable[[], IdempotentAttempt], clock: Clock
    ) -> None:
        with attempt() as first:
            clock.advance(LOCK_S)
            with attempt() as second:
                second.settle("f", job_id=SECOND)
                with pytest.raises(IdempotencyInFlight):
                    first.settle("f", job_id=FIRST)

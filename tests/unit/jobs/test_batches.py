"""What a batch is told to be, by its items; and its repository's contract on the fake and on SQLite."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from core.batches.batch import (
    INTAKE_TIMEOUT_S,
    INTERRUPTED,
    Batch,
    BatchItem,
    BatchStatus,
    RefusedItem,
    count,
    progress_of,
    status_of,
)
from core.batches.repository_sql import SqlBatchRepository
from core.ids import new_id
from core.jobs import JobStatus
from core.repository_sql import SqlJobRepository
from tests.batch_fakes import FakeBatchRepository
from tests.contracts.batches import REFUSED, BatchContract, Repositories
from tests.contracts.retention import RETENTION_S
from tests.factories import NOON
from tests.fakes import FakeJobRepository

Q, R, CG, S, F, C = JobStatus


def items(*statuses: JobStatus, fraction: float = 0.0, duration_s: float | None = 10.0) -> list[BatchItem]:
    return [
        BatchItem(position=position, name="a", job_id=new_id(), status=status, fraction=fraction, duration_s=duration_s)
        for position, status in enumerate(statuses)
    ]


class TestStatus:
    @pytest.mark.parametrize(
        ("statuses", "expected"),
        [
            ([Q, Q], BatchStatus.RUNNING),
            ([S, R], BatchStatus.RUNNING),
            ([F, CG], BatchStatus.RUNNING),
            ([S, S], BatchStatus.SUCCEEDED),
            ([S, F], BatchStatus.PARTIALLY_SUCCEEDED),
            ([S, C], BatchStatus.PARTIALLY_SUCCEEDED),
            ([F, F], BatchStatus.FAILED),
            ([F, C], BatchStatus.FAILED),
            ([C, C], BatchStatus.CANCELLED),
        ],
    )
    def test_it_says_how_much_succeeded(self, statuses: list[JobStatus], expected: BatchStatus) -> None:
        assert status_of(items(*statuses)) is expected
        assert status_of(items(*reversed(statuses))) is expected

    def test_counts_name_every_state(self) -> None:
        assert count(items(S, F, F)) == {Q: 0, R: 0, CG: 0, S: 1, F: 2, C: 0}


class TestProgress:
    def test_it_is_weighted_by_duration(self) -> None:
        short_done, long_half = items(S, duration_s=10.0) + items(R, fraction=0.5, duration_s=30.0)

        progress = progress_of([short_done, long_half])

        assert progress.fraction == pytest.approx((10 + 15) / 40)
        assert (progress.ended, progress.total) == (1, 2)

    def test_items_count_alike_while_a_duration_is_unknown(self) -> None:
        mixed = items(S, duration_s=1000.0) + items(Q, duration_s=None)

        assert progress_of(mixed).fraction == 0.5

    def test_what_failed_early_counts_as_ended(self) -> None:
        assert progress_of(items(F, C, fraction=0.1)).fraction == 1.0

    def test_a_batch_of_refused_items_is_through(self) -> None:
        refused = [BatchItem(position=0, name="a", status=F)]

        assert progress_of(refused).fraction == 1.0


class TestItems:
    def batch(self, jobs: int, *, size: int, refused: tuple[RefusedItem, ...] = ()) -> Batch:
        taken = {item.position for item in refused}
        places = [position for position in range(size) if position not in taken][:jobs]
        members = [replace(item, position=place) for item, place in zip(items(*[S] * jobs), places, strict=True)]
        return Batch(id=new_id(), created_at=NOON, size=size, refused=refused, jobs=members)

    def test_refused_items_stand_where_the_request_had_them(self) -> None:
        found = self.batch(2, size=3, refused=(REFUSED,)).items(now=NOON)

        assert [item.position for item in found] == [0, 1, 2]
        assert [item.status for item in found] == [S, F, S]
        assert (found[1].name, found[1].problem) == ("notes.txt", REFUSED.problem)

    def test_items_that_are_still_being_taken_in_wait(self) -> None:
        assert [item.status for item in self.batch(1, size=3).items(now=NOON)] == [S, Q, Q]

    def test_items_whose_intake_broke_off_have_failed(self) -> None:
        later = NOON + timedelta(seconds=INTAKE_TIMEOUT_S + 1)

        found = self.batch(1, size=3).items(now=later)

        assert [item.status for item in found] == [S, F, F]
        assert found[2].problem == INTERRUPTED

    def test_files_are_there_until_they_expire(self) -> None:
        (item,) = self.batch(1, size=1).items(now=NOON)
        kept = replace(item, expires_at=NOON)

        assert kept.has_files(now=NOON - timedelta(seconds=1))
        assert not kept.has_files(now=NOON)


class TestFakeBatches(BatchContract):
    """The fake obeys the contract."""

    @pytest.fixture
    def repositories(self) -> Repositories:
        jobs = FakeJobRepository()
        return Repositories(batches=FakeBatchRepository(jobs), jobs=jobs)


class TestSqliteBatches(BatchContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def repositories(self, sqlite_engine: Engine) -> Repositories:
        return Repositories(
            batches=SqlBatchRepository(sqlite_engine, retention_s=RETENTION_S), jobs=SqlJobRepository(sqlite_engine)
        )

"""The contract of batches on a real Postgres."""

from __future__ import annotations

from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from sqlalchemy import Engine

from core.batches.ending_sql import announce_ended
from core.batches.repository_sql import SqlBatchRepository
from core.repository_sql import SqlJobRepository
from core.webhooks.outbox_sql import SqlOutbox
from tests.contracts.batch_events import BatchEventContract
from tests.contracts.batches import BatchContract, Repositories
from tests.contracts.repository import claim, outcomes_of, succeed
from tests.contracts.retention import RETENTION_S

BARRIER_TIMEOUT_S = 20.0
LOOK_TIMEOUT_S = 1.0


class TestPostgresBatches(BatchContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repositories(self, postgres_engine: Engine) -> Repositories:
        """Both on one database without rows."""
        return Repositories(
            batches=SqlBatchRepository(postgres_engine, retention_s=RETENTION_S), jobs=SqlJobRepository(postgres_engine)
        )


class TestPostgresBatchEvents(BatchEventContract):
    """The contract on Postgres, where two transactions do not see each other."""

    @pytest.fixture
    def engine(self, postgres_engine: Engine) -> Engine:
        return postgres_engine

    @pytest.fixture
    def batches(self, engine: Engine) -> SqlBatchRepository:
        return SqlBatchRepository(engine, retention_s=RETENTION_S)

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def outbox(self, engine: Engine) -> SqlOutbox:
        return SqlOutbox(engine)

    def test_two_last_items_whose_transactions_overlap_tell_once(
        self,
        batches: SqlBatchRepository,
        repository: SqlJobRepository,
        outbox: SqlOutbox,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        batch = self.add_batch(batches, size=2)
        runs = [claim(repository, job) for job in self.add_jobs(repository, batch, 2)]
        both_have_ended, both_have_looked = Barrier(2, timeout=BARRIER_TIMEOUT_S), Barrier(2, timeout=LOOK_TIMEOUT_S)

        def announce_together(*arguments: Any, **options: Any) -> int:  # noqa: ANN401 - those of announce_ended
            both_have_ended.wait()  # neither has committed: neither sees the other's end yet
            told = announce_ended(*arguments, **options)
            with suppress(BrokenBarrierError):  # the batch's lock holds one back until the other has committed
                both_have_looked.wait()
            return told

        monkeypatch.setattr("core.job_changes.announce_ended", announce_together)

        outcomes = outcomes_of([lambda run=run: succeed(repository, run) for run in runs])

        assert outcomes == [None, None]
        assert len(self.told(outbox)) == 1

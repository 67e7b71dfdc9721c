"""The contract of batches on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from core.batches.repository_sql import SqlBatchRepository
from core.database import engine_of
from core.repository_sql import SqlJobRepository
from core.webhooks.outbox_sql import SqlOutbox
from tests.contracts.batch_events import BatchEventContract
from tests.contracts.batches import BatchContract, Repositories
from tests.contracts.retention import RETENTION_S


class TestPostgresBatches(BatchContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repositories(self, postgres_database: str) -> Iterator[Repositories]:
        """Both on one database without rows."""
        engine = engine_of(postgres_database)
        yield Repositories(batches=SqlBatchRepository(engine, retention_s=RETENTION_S), jobs=SqlJobRepository(engine))
        engine.dispose()


class TestPostgresBatchEvents(BatchEventContract):
    """The contract on Postgres, where two transactions do not see each other."""

    @pytest.fixture
    def engine(self, postgres_database: str) -> Iterator[Engine]:
        engine = engine_of(postgres_database)
        yield engine
        engine.dispose()

    @pytest.fixture
    def batches(self, engine: Engine) -> SqlBatchRepository:
        return SqlBatchRepository(engine, retention_s=RETENTION_S)

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def outbox(self, engine: Engine) -> SqlOutbox:
        return SqlOutbox(engine)

"""The contract of batches on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.batches.repository_sql import SqlBatchRepository
from core.database import engine_of
from core.repository_sql import SqlJobRepository
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

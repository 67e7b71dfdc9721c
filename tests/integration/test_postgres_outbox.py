"""The outbox's contract on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from core.database import engine_of
from core.repository_sql import SqlJobRepository
from core.webhooks.outbox_sql import SqlOutbox
from tests.contracts.outbox import OutboxContract
from tests.contracts.repository import MAX_ATTEMPTS


class TestPostgresOutbox(OutboxContract):
    """The contract on Postgres."""

    @pytest.fixture
    def engine(self, postgres_database: str) -> Iterator[Engine]:
        """A fresh database."""
        engine = engine_of(postgres_database)
        yield engine
        engine.dispose()

    @pytest.fixture
    def outbox(self, engine: Engine) -> SqlOutbox:
        """An empty outbox."""
        return SqlOutbox(engine)

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        """The jobs beside it."""
        return SqlJobRepository(engine, max_attempts=MAX_ATTEMPTS)

"""The outbox's contract on SQLite."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.repository_sql import SqlJobRepository
from core.webhooks.outbox_sql import SqlOutbox
from tests.contracts.outbox import OutboxContract
from tests.contracts.repository import MAX_ATTEMPTS


class TestSqliteOutbox(OutboxContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def engine(self, sqlite_engine: Engine) -> Engine:
        """A fresh database."""
        return sqlite_engine

    @pytest.fixture
    def outbox(self, engine: Engine) -> SqlOutbox:
        """An empty outbox."""
        return SqlOutbox(engine)

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        """The jobs beside it."""
        return SqlJobRepository(engine, max_attempts=MAX_ATTEMPTS)

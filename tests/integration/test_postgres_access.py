"""The contracts of API keys and idempotency keys on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from core.access.keys_sql import SqlKeyRepository
from core.database import engine_of
from core.idempotency_sql import SqlIdempotencyRepository
from tests.contracts.idempotency import IdempotencyContract
from tests.contracts.keys import KeyContract


@pytest.fixture
def engine(postgres_database: str) -> Iterator[Engine]:
    engine = engine_of(postgres_database)
    yield engine
    engine.dispose()


class TestPostgresKeyRepository(KeyContract):
    """The contract on Postgres."""

    @pytest.fixture
    def keys(self, engine: Engine) -> SqlKeyRepository:
        return SqlKeyRepository(engine)


class TestPostgresIdempotencyRepository(IdempotencyContract):
    """The contract on Postgres."""

    @pytest.fixture
    def keys(self, engine: Engine) -> SqlIdempotencyRepository:
        return SqlIdempotencyRepository(engine)

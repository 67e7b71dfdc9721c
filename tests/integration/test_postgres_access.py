"""The contracts of API keys, idempotency keys and uploads on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from core.access.keys_sql import SqlKeyRepository
from core.database import engine_of
from core.idempotency_sql import SqlIdempotencyRepository
from core.uploads.upload_sql import SqlUploadRepository
from tests.contracts.idempotency import IdempotencyContract
from tests.contracts.keys import KeyContract
from tests.contracts.uploads import UploadContract


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


class TestPostgresUploadRepository(UploadContract):
    """The contract on Postgres."""

    @pytest.fixture
    def uploads(self, engine: Engine) -> SqlUploadRepository:
        return SqlUploadRepository(engine)

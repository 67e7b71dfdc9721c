"""The repository's contract on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.database import engine_of
from core.errors import InvalidInput, StorageError
from core.repository_sql import SqlJobRepository
from tests.contracts.races import RaceContract
from tests.contracts.repository import MAX_ATTEMPTS, RESEND_AFTER_S, RepositoryContract
from tests.contracts.retention import RetentionContract
from tests.contracts.sweep import SweepContract
from tests.contracts.turns import KEY_MAX_RUNNING, TurnsContract
from tests.factories import make_job
from tests.servers import free_port


class TestPostgresRepository(RepositoryContract, SweepContract, RaceContract, RetentionContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repository(self, postgres_database: str) -> Iterator[SqlJobRepository]:
        """A repository on a fresh database."""
        engine = engine_of(postgres_database)
        yield SqlJobRepository(engine, max_attempts=MAX_ATTEMPTS, resend_after_s=RESEND_AFTER_S)
        engine.dispose()

    def test_text_that_postgres_cannot_hold_is_refused(self, repository: SqlJobRepository) -> None:
        with pytest.raises(InvalidInput):
            repository.add(make_job(preset="a\x00b"))

    def test_a_server_that_does_not_answer_is_a_storage_error(self) -> None:
        repository = SqlJobRepository(engine_of(f"postgresql://postgres@127.0.0.1:{free_port()}/limpid"))

        with pytest.raises(StorageError):
            repository.check()


class TestPostgresTurns(TurnsContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repository(self, postgres_database: str) -> Iterator[SqlJobRepository]:
        """A repository on a fresh database."""
        engine = engine_of(postgres_database)
        yield SqlJobRepository(engine, key_max_running=KEY_MAX_RUNNING)
        engine.dispose()

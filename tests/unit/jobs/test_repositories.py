"""The repository's contract on the fake and on SQLite, and what is SQLite's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.database import engine_of
from core.errors import InvalidInput, StorageError
from core.repository_sql import SqlJobRepository
from tests.contracts.races import RaceContract
from tests.contracts.repository import MAX_ATTEMPTS, RESEND_AFTER_S, RepositoryContract
from tests.contracts.retention import RetentionContract
from tests.contracts.sweep import SweepContract
from tests.fakes import FakeJobRepository


class TestFakeRepository(RepositoryContract, SweepContract, RaceContract, RetentionContract):
    """The fake obeys the contract, so that tests on it mean something."""

    @pytest.fixture
    def repository(self) -> FakeJobRepository:
        """An empty fake."""
        return FakeJobRepository(max_attempts=MAX_ATTEMPTS, resend_after_s=RESEND_AFTER_S)


class TestSqliteRepository(RepositoryContract, SweepContract, RaceContract, RetentionContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def repository(self, sqlite_engine: Engine) -> SqlJobRepository:
        """A repository on a fresh file."""
        return SqlJobRepository(sqlite_engine, max_attempts=MAX_ATTEMPTS, resend_after_s=RESEND_AFTER_S)

    def test_a_foreign_cursor_is_refused(self, repository: SqlJobRepository) -> None:
        with pytest.raises(InvalidInput, match="cursor"):
            repository.list(cursor="' OR 1=1")

    def test_check_is_silent_when_the_database_answers(self, repository: SqlJobRepository) -> None:
        repository.check()

    def test_check_fails_once_the_file_is_gone_although_its_connections_go_on(self, tmp_path: Path) -> None:
        repository = SqlJobRepository(engine_of(f"sqlite:///{tmp_path / 'limpid.sqlite3'}"))
        repository.check()
        (tmp_path / "limpid.sqlite3").unlink()

        with pytest.raises(StorageError, match="file is gone"):
            repository.check()

    def test_a_database_that_does_not_answer_is_a_storage_error(self, tmp_path: Path) -> None:
        (tmp_path / "limpid.sqlite3").mkdir()
        repository = SqlJobRepository(engine_of(f"sqlite:///{tmp_path / 'limpid.sqlite3'}"))

        with pytest.raises(StorageError):
            repository.check()

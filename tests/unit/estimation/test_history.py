"""Past runs on the fake and on SQLite."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.estimation.history_sql import SqlRunHistory
from core.repository_sql import SqlJobRepository
from tests.contracts.history import HistoryContract
from tests.estimation_fakes import FakeRunHistory
from tests.fakes import FakeJobRepository


class TestFake(HistoryContract):
    """The fake obeys the contract, so that tests on it mean something."""

    @pytest.fixture
    def repository(self) -> FakeJobRepository:
        return FakeJobRepository()

    @pytest.fixture
    def history(self, repository: FakeJobRepository) -> FakeRunHistory:
        return FakeRunHistory(repository)


class TestSqlite(HistoryContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def engine(self, sqlite_engine: Engine) -> Engine:
        return sqlite_engine

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def history(self, engine: Engine) -> SqlRunHistory:
        return SqlRunHistory(engine)

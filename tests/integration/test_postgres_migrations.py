"""The migrations on a real Postgres."""

from __future__ import annotations

import pytest

from tests.contracts.migrations import MigrationContract


class TestPostgresMigrations(MigrationContract):
    """The contract on Postgres."""

    @pytest.fixture
    def empty_database(self, empty_postgres_database: str) -> str:
        """The URL of a database without tables."""
        return empty_postgres_database

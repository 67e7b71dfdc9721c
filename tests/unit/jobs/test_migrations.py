"""The migrations on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.migrations import MigrationContract


class TestSqliteMigrations(MigrationContract):
    """The contract on a SQLite file whose folder does not exist yet."""

    @pytest.fixture
    def empty_database(self, tmp_path: Path) -> str:
        """The URL of a file that is not there yet."""
        return f"sqlite:///{tmp_path / 'data' / 'limpid.sqlite3'}"

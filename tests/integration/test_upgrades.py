"""Migrations only expand: the code of the release before goes on working on the newer schema (docs/operations)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from core.database import alembic_config, engine_of, migrate

CONTRACTIONS: frozenset[str] = frozenset()
"""Revisions that remove what no code has used since the release before; each says so in its docstring."""

Columns = Mapping[str, Mapping[str, Any]]  # by name, as SQLAlchemy's inspector describes them


@pytest.fixture
def database(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'limpid.sqlite3'}"


def schema_of(engine: Engine) -> Mapping[str, Columns]:
    inspector = inspect(engine)
    return {
        table: {column["name"]: column for column in inspector.get_columns(table)}
        for table in inspector.get_table_names()
    }


def revisions(engine: Engine) -> list[str]:
    """Every revision, the oldest first."""
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    return [step.revision for step in reversed([*script.walk_revisions()])]


def objections(before: Mapping[str, Columns], after: Mapping[str, Columns]) -> list[str]:
    """What an upgrade took away from code that knows only the schema before it."""
    found = [f"table {table} is gone" for table in before.keys() - after.keys()]
    for table in before.keys() & after.keys():
        found += [f"{table}.{name} is gone" for name in before[table].keys() - after[table].keys()]
        for name, column in after[table].items():
            must_be_given = not column["nullable"] and column["default"] is None
            known = before[table].get(name)
            if known is None and must_be_given:
                found.append(f"{table}.{name} is new, and an older process does not fill it")
            elif known is not None and must_be_given and (known["nullable"] or known["default"] is not None):
                found.append(f"{table}.{name} must be given now")
    return found


def test_no_upgrade_breaks_the_code_of_the_release_before(database: str) -> None:
    engine = engine_of(database)
    broken = {}
    before: Mapping[str, Columns] = {}

    for revision in revisions(engine):
        migrate(database, revision=revision)
        after = schema_of(engine)
        broken[revision] = objections(before, after)
        before = after
    engine.dispose()

    assert len(broken) >= 13
    assert {revision for revision, found in broken.items() if found} == CONTRACTIONS, broken


@pytest.mark.parametrize(
    ("column", "objection"),
    [
        ({"nullable": True, "default": None}, []),
        ({"nullable": False, "default": "0"}, []),
        ({"nullable": False, "default": None}, ["jobs.new is new, and an older process does not fill it"]),
    ],
    ids=["may be empty", "has a default", "must be given"],
)
def test_a_new_column_must_do_without_older_processes(column: dict[str, Any], objection: list[str]) -> None:
    kept = {"id": {"nullable": False, "default": None}}

    assert objections({"jobs": kept}, {"jobs": {**kept, "new": column}}) == objection


def test_what_is_taken_away_is_found() -> None:
    kept = {"id": {"nullable": False, "default": None}}
    old = {"jobs": {**kept, "name": {"nullable": True, "default": None}}, "extra": kept}

    assert sorted(objections(old, {"jobs": kept})) == ["jobs.name is gone", "table extra is gone"]
    tightened = {"jobs": {**kept, "name": {"nullable": False, "default": None}}, "extra": kept}
    assert objections(old, tightened) == ["jobs.name must be given now"]

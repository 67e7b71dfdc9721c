"""What the migrations must do, run against SQLite and Postgres: `empty_database` is the subclass's URL."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from core.database import engine_of, migrate
from core.repository_sql import SqlJobRepository
from core.tables import Base
from tests.contracts.repository import outcomes_of
from tests.factories import make_job


class MigrationContract:
    """Up, down and up again, and no difference to the tables in code."""

    def test_the_migrated_schema_is_the_one_that_the_code_expects(self, empty_database: str) -> None:
        migrate(empty_database)

        engine = engine_of(empty_database)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
            inspector = inspect(connection)
            in_code = {table.name: {index.name for index in table.indexes} for table in Base.metadata.sorted_tables}
            assert {name: {index["name"] for index in inspector.get_indexes(name)} for name in in_code} == in_code
            checks = {check["name"] for check in inspector.get_check_constraints("jobs")}
        engine.dispose()
        assert checks == {"ck_jobs_status", "ck_jobs_lane", "ck_jobs_device", "ck_jobs_stage"}

    def test_downgrade_leaves_nothing_and_upgrade_works_again(self, empty_database: str) -> None:
        migrate(empty_database)

        migrate(empty_database, revision="base")

        engine = engine_of(empty_database)
        assert inspect(engine).get_table_names() == ["alembic_version"]
        migrate(empty_database)
        assert {"jobs", "outputs"} <= set(inspect(engine).get_table_names())
        engine.dispose()

    def test_migrating_again_keeps_the_rows(self, empty_database: str) -> None:
        migrate(empty_database)
        engine = engine_of(empty_database)
        job = make_job()
        SqlJobRepository(engine).add(job)

        migrate(empty_database)

        assert SqlJobRepository(engine).get(job.id) == job
        engine.dispose()

    def test_processes_that_start_together_may_all_migrate(self, empty_database: str) -> None:
        outcomes = outcomes_of([lambda: migrate(empty_database)] * 4)

        assert outcomes == [None] * 4

    def test_the_database_itself_refuses_an_unknown_status(self, empty_database: str) -> None:
        migrate(empty_database)
        engine = engine_of(empty_database)
        SqlJobRepository(engine).add(make_job())

        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(text("UPDATE jobs SET status = 'lost'"))
        engine.dispose()

"""The database: engines for SQLite and Postgres, sessions that tell reads from writes, and migrations."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from core.errors import StorageError
from core.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

SQLITE_BUSY_TIMEOUT_S = 30.0
POSTGRES_CONNECT_TIMEOUT_S = 5

_WRITES = "limpid_writes"
_NOT_MIGRATED = ("42P01", "42703")  # Postgres' undefined_table and undefined_column
_MIGRATION_LOCK = 0x4C494D50  # "LIMP": any number that no other application takes


def create_engine_for(settings: Settings) -> Engine:
    """The engine of the configured database; connects when first used."""
    return engine_of(settings.resolved_database_url)


def engine_of(url: str) -> Engine:
    """An engine for `url`. SQLite's folder is made; Postgres is reached by psycopg 3.

    SQLite runs in WAL mode with foreign keys on, and waits up to 30 s for another process's write. Its transactions
    are begun by us: a write takes the lock at once (BEGIN IMMEDIATE), since a read that turns into a write is refused
    without waiting when another process wrote in between.
    """
    parsed = _normalized(url)
    if parsed.get_backend_name() != "sqlite":
        connect_args = {
            "connect_timeout": POSTGRES_CONNECT_TIMEOUT_S,
            "application_name": "limpid",
            "client_encoding": "utf8",  # psycopg gives bytes, not text, where the database is SQL_ASCII
        }
        return create_engine(parsed, pool_pre_ping=True, connect_args=connect_args)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def read_session(engine: Engine) -> Iterator[Session]:
    """A session that only reads. StorageError when the database does not answer."""
    with _answered(), Session(engine) as session:
        yield session


@contextmanager
def write_session(engine: Engine) -> Iterator[Session]:
    """A session whose changes are committed together at the end, or not at all. StorageError as above."""
    with _answered(), Session(engine.execution_options(**{_WRITES: True})) as session, session.begin():
        yield session


def check_database(engine: Engine) -> None:
    """Raise StorageError when the database does not answer.

    SQLite answers from a file that was removed as long as a connection has it open, but nothing of that would be kept.
    """
    with read_session(engine) as session:
        session.execute(text("SELECT 1"))
    url = engine.url
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        raise StorageError("The database's file is gone.")


def migrate(url: str, *, revision: str = "head") -> None:
    """Bring the schema at `url` to `revision` ("head": the newest, "base": none). Safe to run from many processes."""
    from alembic import command  # not at the top: only migrating needs it, and every process would wait for it

    engine = engine_of(url)
    try:
        with _answered(), engine.execution_options(**{_WRITES: True}).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            config = alembic_config(connection)
            if revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)
    finally:
        engine.dispose()


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration on an open connection; the migrations are found beside the installed package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _normalized(url: str) -> URL:
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own types for events
    dbapi_connection.isolation_level = None  # sqlite3 would begin transactions by itself, too late
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        dbapi_connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StorageError("The database did not answer.") from error
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) not in _NOT_MIGRATED:
            raise
        detail = "The database is not migrated to this version: a table or column is missing. Run `limpid migrate`."
        raise StorageError(detail) from error

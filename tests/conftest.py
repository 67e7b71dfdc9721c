"""Fixtures that start what tests need by themselves; LIMPID_TEST_* points the same tests at other servers."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, make_url

pytest.register_assert_rewrite("tests.contracts")

from core.database import engine_of, migrate  # noqa: E402
from tests.servers import S3Account, postgres_server, redis_server, s3_server  # noqa: E402

MEMORY_DIR = Path("/dev/shm")


def pytest_configure() -> None:
    """Let a test run that is told to stop take its servers and workers with it."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))
    gc.disable()  # until the tests run: importing makes hundreds of thousands of objects, and none of them garbage


def pytest_collection_finish() -> None:
    """Let no garbage collection look at what was imported and collected: each would take half a second of CPU."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _no_configuration_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own LIMPID_* variables do not reach the tests."""
    for name in os.environ:
        if name.startswith("LIMPID_") and not name.startswith("LIMPID_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A Postgres in which databases may be made: LIMPID_TEST_DATABASE_URL, else one of our own."""
    external = os.environ.get("LIMPID_TEST_DATABASE_URL")
    if external:
        yield external
    else:
        with postgres_server() as url:
            yield url


@pytest.fixture(scope="session")
def _shared_postgres_database(postgres_url: str) -> Iterator[str]:
    name = f"limpid_test_{uuid4().hex}"
    _execute(postgres_url, f"CREATE DATABASE {name}")
    url = _with_database(postgres_url, name)
    migrate(url)
    yield url
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_database(_shared_postgres_database: str) -> str:
    """The URL of a migrated database without rows."""
    tables = "jobs, outputs, api_keys, idempotency_keys, uploads, webhook_deliveries, batches, workers"
    _execute(_shared_postgres_database, f"TRUNCATE {tables}")
    return _shared_postgres_database


@pytest.fixture(scope="module")
def module_postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of a database that one module has for itself, without any table."""
    name = f"limpid_test_{uuid4().hex}"
    _execute(postgres_url, f"CREATE DATABASE {name}")
    yield _with_database(postgres_url, name)
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_postgres_database(postgres_url: str) -> Iterator[str]:
    """The URL of a fresh database without any table."""
    name = f"limpid_test_{uuid4().hex}"
    _execute(postgres_url, f"CREATE DATABASE {name}")
    yield _with_database(postgres_url, name)
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def _migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "limpid.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_database(_migrated_sqlite_file: Path) -> Iterator[str]:
    """The URL of a fresh SQLite file: a copy of one that was migrated, which takes a fraction of migrating it."""
    with _memory_folder() as folder:
        path = shutil.copyfile(_migrated_sqlite_file, folder / "limpid.sqlite3")
        yield f"sqlite:///{path}"


@pytest.fixture(scope="session")
def _shared_sqlite_engine() -> Iterator[Engine]:
    """One engine for all tests: it keeps the statements that it has compiled, which takes longer than running them."""
    with _memory_folder() as folder, _engine(f"sqlite:///{folder / 'limpid.sqlite3'}") as engine:
        yield engine


@pytest.fixture
def sqlite_engine(_shared_sqlite_engine: Engine, _migrated_sqlite_file: Path) -> Iterator[Engine]:
    """An engine on a fresh SQLite file."""
    path = Path(str(_shared_sqlite_engine.url.database))
    shutil.copyfile(_migrated_sqlite_file, path)
    yield _shared_sqlite_engine
    _shared_sqlite_engine.dispose()
    for left in path.parent.iterdir():
        left.unlink()


@pytest.fixture(scope="session")
def _shared_postgres_engine(_shared_postgres_database: str) -> Iterator[Engine]:
    with _engine(_shared_postgres_database) as engine:
        yield engine


@pytest.fixture
def postgres_engine(_shared_postgres_engine: Engine, postgres_database: str) -> Iterator[Engine]:
    """An engine on a Postgres database without rows."""
    yield _shared_postgres_engine
    _shared_postgres_engine.dispose()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis database that may be emptied: LIMPID_TEST_BROKER_URL, else one of our own."""
    external = os.environ.get("LIMPID_TEST_BROKER_URL")
    if external:
        yield external
    else:
        with redis_server() as url:
            yield url


@pytest.fixture(scope="session")
def s3_account() -> Iterator[S3Account]:
    """An S3 in which buckets may be made: LIMPID_TEST_S3_ENDPOINT (_ACCESS_KEY, _SECRET_KEY), else one of our own."""
    endpoint = os.environ.get("LIMPID_TEST_S3_ENDPOINT")
    if endpoint:
        yield S3Account(
            endpoint=endpoint,
            access_key=os.environ["LIMPID_TEST_S3_ACCESS_KEY"],
            secret_key=os.environ["LIMPID_TEST_S3_SECRET_KEY"],
        )
    else:
        with s3_server() as account:
            yield account


@contextmanager
def _memory_folder() -> Iterator[Path]:
    """A folder in memory, where the system has such: thousands of commits need not each wait for a disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY_DIR if os.access(MEMORY_DIR, os.W_OK) else None) as folder:
        yield Path(folder)


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = engine_of(url)
    yield engine
    engine.dispose()


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)

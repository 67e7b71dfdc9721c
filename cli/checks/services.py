"""Do database, broker and object store answer, and do they do what is needed of them?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cli.checks.check import Check, Verdict, bad, note, ok, without_credentials
from core.errors import EnhancerError

if TYPE_CHECKING:
    from core.backend import Backend
    from core.settings import Settings
    from core.storage import ObjectStore

MAX_CLOCK_DIFFERENCE_S = 5.0  # leases are seconds long and are compared across machines
_PROBE = b"limpid doctor"


def check_services(settings: Settings, backend: Backend) -> Iterator[Check]:
    """Each service, and behind those that answer what would fail only later."""
    database = _answers("database", without_credentials(settings.resolved_database_url), backend.jobs.check)
    yield database
    if database.verdict is Verdict.OK:
        yield _schema(settings)
        yield from check_clock(settings)
    yield _answers("broker", without_credentials(settings.resolved_broker_url), backend.queue.check)
    bucket = settings.s3_endpoint and f"{without_credentials(settings.s3_endpoint)}, bucket {settings.s3_bucket}"
    yield _answers("store", bucket or str(settings.objects_dir), lambda: write_and_read(backend.store))


def _answers(name: str, address: str, check: Callable[[], None]) -> Check:
    try:
        check()
    except EnhancerError as error:
        return bad(name, f"{address}: {error.detail}")
    return ok(name, address)


def write_and_read(store: ObjectStore) -> None:
    """StorageError when the store does not answer, or does not let us write, read and delete."""
    from core.errors import StorageError
    from core.ids import new_id

    store.check()
    prefix = f"doctor/{new_id()}"
    try:
        with store.open_writer(f"{prefix}/probe", media_type="text/plain") as writer:
            writer.write(_PROBE)
            writer.commit()
        with store.open_reader(f"{prefix}/probe") as reader:
            if reader.read() != _PROBE:
                raise StorageError("An object came back other than it was written.")
    finally:
        store.delete_prefix(f"{prefix}/")


def _schema(settings: Settings) -> Check:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from core.database import alembic_config, engine_of

    engine = engine_of(settings.resolved_database_url)
    with engine.connect() as connection:
        here = set(MigrationContext.configure(connection).get_current_heads())
        newest = set(ScriptDirectory.from_config(alembic_config(connection)).get_heads())
    engine.dispose()
    if here == newest:
        return ok("schema", f"up to date ({', '.join(here)})")
    return bad("schema", "not that of this version; run `limpid migrate`")


def check_clock(settings: Settings) -> Iterator[Check]:
    """The clock of this machine beside the database server's; a SQLite file has none of its own."""
    from sqlalchemy import func, select

    from core.database import engine_of

    engine = engine_of(settings.resolved_database_url)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            theirs = connection.scalar(select(func.clock_timestamp()))
            ours = datetime.now(UTC)
        difference_s = abs((ours - theirs).total_seconds()) if isinstance(theirs, datetime) else 0.0
        if difference_s > MAX_CLOCK_DIFFERENCE_S:
            yield note("clock", f"{difference_s:.0f} s from the database server's: leases need both set by NTP")
        else:
            yield ok("clock", f"within {MAX_CLOCK_DIFFERENCE_S:g} s of the database server's")
    engine.dispose()

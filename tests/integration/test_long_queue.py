"""Ten thousand jobs that wait, on Postgres: what a client or a worker asks for costs no more than with a hundred.

Postgres itself says what each query reads (EXPLAIN ANALYZE): pages, which do not depend on how busy the machine is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from core.jobs import Job, JobStatus
from core.repository_sql import SqlJobRepository
from core.tables import JobRow
from tests.factories import NOON, make_job

FEW, MANY = 100, 10_000
HISTORY = 20_000  # jobs that have ended
FLAT_PAGES = 12  # more than with few: an index of a hundred times the entries is a level or two deeper
POSITION_PAGES = 400  # the index entries of the whole queue, and no row of it


@dataclass(kw_only=True)
class Plans:
    """What Postgres did for the queries of one call."""

    pages: int = 0
    scans: list[str] = field(default_factory=list)  # node types on the table of jobs


@pytest.fixture
def engine(postgres_engine: Engine) -> Engine:
    return postgres_engine


@pytest.fixture
def repository(engine: Engine) -> SqlJobRepository:
    return SqlJobRepository(engine)


def fill(engine: Engine, repository: SqlJobRepository, *, queued: int, ended: int = 0) -> Job:
    """So many jobs beside one that waits since before the last of them; that one."""
    job = make_job()
    repository.add(job)
    columns = [column.name for column in JobRow.__table__.columns if column.name not in ("id", "status")]
    names = ", ".join(columns)
    with engine.begin() as connection:
        for status, count, prefix in (("queued", queued, "00000000"), ("succeeded", ended, "10000000")):
            connection.execute(
                text(
                    f"INSERT INTO jobs (id, status, {names}) SELECT '{prefix}-0000-7000-8000-' || "
                    f"lpad(to_hex(n), 12, '0'), '{status}', {names} FROM jobs, generate_series(1, {count}) n "
                    "WHERE jobs.id = :id"
                ),
                {"id": job.id},
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE jobs"))
    return job


@contextmanager
def explained(engine: Engine) -> Iterator[Plans]:
    """Explain every SELECT and UPDATE of the block, with the parameters that it had."""
    plans = Plans()
    statements: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:  # noqa: ANN401
        statements.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        for statement, parameters in statements:
            if not statement.startswith(("SELECT", "UPDATE")) or "outputs" in statement:
                continue
            [[[document]]] = connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
            ).fetchall()
            plan = document["Plan"]
            plans.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            plans.scans += [node["Node Type"] for node in nodes_of(plan) if node.get("Relation Name") == "jobs"]
        connection.rollback()


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, root first."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


CALLS: dict[str, Callable[[SqlJobRepository, Job], object]] = {
    "poll": lambda repository, job: repository.get(job.id),
    "list": lambda repository, job: repository.list(limit=50),
    "list-queued": lambda repository, job: repository.list(status=JobStatus.QUEUED, limit=50),
    "list-page": lambda repository, job: repository.list(cursor=job.id, limit=50),
    "list-failed": lambda repository, job: repository.list(status=JobStatus.FAILED, limit=50),
    "claim": lambda repository, job: repository.claim(job.id, worker="w", lease_s=60.0, now=NOON),
    "sweep": lambda repository, job: repository.sweep(now=NOON - timedelta(days=1)),
    "expire": lambda repository, job: repository.list_expired(now=NOON - timedelta(days=1)),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_is_asked_often_reads_as_little_with_ten_thousand_jobs_as_with_a_hundred(
    engine: Engine, repository: SqlJobRepository, call: str
) -> None:
    pages = []
    for queued, ended in ((FEW, 0), (MANY, HISTORY)):
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE jobs, outputs"))
        job = fill(engine, repository, queued=queued, ended=ended)
        with explained(engine) as plans:
            CALLS[call](repository, job)
        pages.append(plans.pages)

    assert "Seq Scan" not in plans.scans
    assert pages[1] <= pages[0] + FLAT_PAGES, pages


def test_place_in_the_queue_is_counted_in_its_index(engine: Engine, repository: SqlJobRepository) -> None:
    job = fill(engine, repository, queued=MANY, ended=HISTORY)

    with explained(engine) as plans:
        position = repository.queue_position(job)

    assert position == MANY
    assert set(plans.scans) <= {"Index Only Scan", "Index Scan", "Bitmap Heap Scan"}
    assert "Seq Scan" not in plans.scans
    assert plans.pages < POSITION_PAGES

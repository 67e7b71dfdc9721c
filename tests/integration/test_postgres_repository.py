"""The repository's contract on a real Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from core.database import engine_of
from core.errors import InvalidInput, StorageError
from core.jobs import JobStatus
from core.repository_sql import SqlJobRepository
from tests.contracts.races import RaceContract
from tests.contracts.repository import MAX_ATTEMPTS, RESEND_AFTER_S, RepositoryContract
from tests.contracts.retention import RetentionContract
from tests.contracts.sweep import SweepContract
from tests.contracts.turns import KEY_MAX_RUNNING, TurnsContract
from tests.factories import make_job
from tests.servers import free_port


class TestPostgresRepository(RepositoryContract, SweepContract, RaceContract, RetentionContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repository(self, postgres_engine: Engine) -> SqlJobRepository:
        """A repository on a fresh database."""
        return SqlJobRepository(postgres_engine, max_attempts=MAX_ATTEMPTS, resend_after_s=RESEND_AFTER_S)

    def test_text_that_postgres_cannot_hold_is_refused(self, repository: SqlJobRepository) -> None:
        with pytest.raises(InvalidInput):
            repository.add(make_job(preset="a\x00b"))

    def test_a_database_that_is_not_migrated_yet_is_a_storage_error(self, empty_postgres_database: str) -> None:
        repository = SqlJobRepository(engine_of(empty_postgres_database))

        with pytest.raises(StorageError, match="not migrated"):
            repository.list()

        repository.close()

    def test_a_server_that_does_not_answer_is_a_storage_error(self) -> None:
        repository = SqlJobRepository(engine_of(f"postgresql://postgres@127.0.0.1:{free_port()}/limpid"))

        with pytest.raises(StorageError):
            repository.check()


class TestServerClock:
    """Leases by the database server's clock, whatever the clocks of the machines that hold them say."""

    @pytest.fixture
    def repository(self, postgres_engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(postgres_engine, max_attempts=MAX_ATTEMPTS, has_server_clock=True)

    @pytest.mark.parametrize("skew_s", [-86_400.0, -600.0, 600.0, 86_400.0])
    def test_a_worker_whose_clock_is_wrong_keeps_its_lease_and_no_longer_than_it_lives(
        self, repository: SqlJobRepository, skew_s: float
    ) -> None:
        now = datetime.now(UTC)
        skewed = now + timedelta(seconds=skew_s)
        job = make_job(created_at=now)
        repository.add(job)

        claimed = repository.claim(job.id, worker="a", lease_s=60.0, now=skewed)

        assert claimed is not None
        assert repository.sweep(now=now).to_send == []
        assert repository.sweep(now=skewed).to_send == []
        assert repository.claim(job.id, worker="b", lease_s=60.0, now=skewed + timedelta(hours=1)) is None
        token = claimed.lease_token or ""
        repository.extend_lease(job.id, lease_token=token, lease_s=-1.0, now=skewed)
        assert [lost.id for lost in repository.sweep(now=skewed).to_send] == [job.id]

    def test_a_clock_that_jumps_between_two_heartbeats_costs_nothing(self, repository: SqlJobRepository) -> None:
        now = datetime.now(UTC)
        job = make_job(created_at=now)
        repository.add(job)
        claimed = repository.claim(job.id, worker="a", lease_s=60.0, now=now)
        assert claimed is not None

        for jump in (timedelta(days=1), timedelta(days=-1)):
            repository.extend_lease(job.id, lease_token=claimed.lease_token or "", lease_s=60.0, now=now + jump)
            assert repository.sweep(now=now + jump).ended == []
            assert repository.get(job.id).status is JobStatus.RUNNING


class TestPostgresTurns(TurnsContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repository(self, postgres_engine: Engine) -> SqlJobRepository:
        """A repository on a fresh database."""
        return SqlJobRepository(postgres_engine, key_max_running=KEY_MAX_RUNNING)

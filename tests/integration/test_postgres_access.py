"""The contracts of API keys, idempotency keys, uploads, limits, past runs and workers on a real Postgres."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from cli.checks.check import Verdict
from cli.checks.services import check_clock
from core.access.keys_sql import SqlKeyRepository
from core.access.limits import Limits
from core.access.usage_sql import SqlUsageRepository
from core.estimation.history_sql import SqlRunHistory
from core.estimation.queue_load_sql import SqlQueueLoads
from core.fleet.fleet_sql import SqlFleet
from core.idempotency_sql import SqlIdempotencyRepository
from core.repository_sql import SqlJobRepository
from core.settings import Settings
from core.uploads.upload_sql import SqlUploadRepository
from tests.contracts.census import CensusContract
from tests.contracts.fleet import KEY_MAX_RUNNING as FLEET_KEY_MAX_RUNNING
from tests.contracts.fleet import FleetContract
from tests.contracts.history import HistoryContract
from tests.contracts.idempotency import IdempotencyContract
from tests.contracts.keys import KeyContract
from tests.contracts.queue_loads import QueueLoadContract
from tests.contracts.uploads import UploadContract
from tests.contracts.usage import KEY_MAX_RUNNING, QUEUED_AT_MOST, KeyLimitContract, UsageContract


@pytest.fixture
def engine(postgres_engine: Engine) -> Engine:
    return postgres_engine


class TestPostgresKeyRepository(KeyContract):
    """The contract on Postgres."""

    @pytest.fixture
    def keys(self, engine: Engine) -> SqlKeyRepository:
        return SqlKeyRepository(engine)


class TestPostgresIdempotencyRepository(IdempotencyContract):
    """The contract on Postgres."""

    @pytest.fixture
    def keys(self, engine: Engine) -> SqlIdempotencyRepository:
        return SqlIdempotencyRepository(engine)


class TestPostgresUploadRepository(UploadContract):
    """The contract on Postgres."""

    @pytest.fixture
    def uploads(self, engine: Engine) -> SqlUploadRepository:
        return SqlUploadRepository(engine)


class TestPostgresUsage(UsageContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine, key_max_running=KEY_MAX_RUNNING)

    @pytest.fixture
    def usage(self, engine: Engine) -> SqlUsageRepository:
        return SqlUsageRepository(engine)


class TestPostgresRunHistory(HistoryContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def history(self, engine: Engine) -> SqlRunHistory:
        return SqlRunHistory(engine)


class TestPostgresKeyLimits(KeyLimitContract):
    """The contract on Postgres, where two transactions do not see each other."""

    @pytest.fixture
    def limited(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine, key_limits=Limits(queued=QUEUED_AT_MOST))


class TestPostgresFleet(FleetContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def fleet(self, engine: Engine) -> SqlFleet:
        return SqlFleet(engine, key_max_running=FLEET_KEY_MAX_RUNNING)


class TestPostgresCensus(CensusContract):
    """The contract on Postgres."""


class TestPostgresQueueLoads(QueueLoadContract):
    """The contract on Postgres."""

    @pytest.fixture
    def repository(self, engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(engine)

    @pytest.fixture
    def fleet(self, engine: Engine) -> SqlFleet:
        return SqlFleet(engine)

    @pytest.fixture
    def loads(self, engine: Engine) -> SqlQueueLoads:
        return SqlQueueLoads(engine)


def test_doctor_compares_the_clock_with_the_servers(postgres_database: str) -> None:
    [check] = check_clock(Settings(database_url=postgres_database))

    assert check.verdict is Verdict.OK

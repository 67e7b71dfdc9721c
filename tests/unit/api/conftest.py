"""The application on fakes: no database, no broker, no network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.main import create_app
from core.backend import Backend
from core.database import engine_of
from core.fleet.installed import InstalledModels
from core.outbound.client import OutboundClient
from core.settings import Settings
from core.sources.source import Sources
from core.uploads.parts_stored import StoredParts
from core.uploads.services import UploadDesk
from core.webhooks.outbox_sql import SqlOutbox
from tests.access_fakes import FakeIdempotencyRepository, FakeKeyRepository, FakeUploadRepository, FakeUsageRepository
from tests.batch_fakes import FakeBatchRepository
from tests.estimation_fakes import FakeQueueLoads, FakeRunHistory
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore, fake_resolve
from tests.monitoring_fakes import FakeCensusTaker, FakeFleet


@pytest.fixture
def store() -> FakeObjectStore:
    return FakeObjectStore()


@pytest.fixture
def jobs() -> FakeJobRepository:
    return FakeJobRepository()


@pytest.fixture
def queue() -> FakeJobQueue:
    return FakeJobQueue()


@pytest.fixture
def keys() -> FakeKeyRepository:
    return FakeKeyRepository()


@pytest.fixture
def idempotency() -> FakeIdempotencyRepository:
    return FakeIdempotencyRepository()


@pytest.fixture
def batches(jobs: FakeJobRepository) -> FakeBatchRepository:
    return FakeBatchRepository(jobs)


@pytest.fixture
def loads() -> FakeQueueLoads:
    return FakeQueueLoads()


@pytest.fixture
def uploads() -> FakeUploadRepository:
    return FakeUploadRepository()


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def census_taker() -> FakeCensusTaker:
    return FakeCensusTaker()


def _hours() -> Callable[[], float]:
    """A clock by which an hour passes whenever somebody looks: nothing is kept."""
    return map(float, itertools.count(0, 3600)).__next__


@pytest.fixture
def backend(
    store: FakeObjectStore,
    jobs: FakeJobRepository,
    queue: FakeJobQueue,
    keys: FakeKeyRepository,
    idempotency: FakeIdempotencyRepository,
    uploads: FakeUploadRepository,
    batches: FakeBatchRepository,
    fleet: FakeFleet,
    census_taker: FakeCensusTaker,
    loads: FakeQueueLoads,
    settings: Settings,
) -> Iterator[Backend]:
    engine = engine_of("sqlite://")  # without tables: the tests of webhooks bring their own
    yield Backend(
        store=store,
        jobs=jobs,
        queue=queue,
        keys=keys,
        idempotency=idempotency,
        uploads=UploadDesk(uploads=uploads, parts=StoredParts(store), store=store),
        usage=FakeUsageRepository(jobs),
        history=FakeRunHistory(jobs),
        loads=loads,
        batches=batches,
        deliveries=SqlOutbox(engine),
        fleet=fleet,
        installed=InstalledModels(fleet, settings=settings, clock=_hours()),
        census=census_taker,
        outbound=OutboundClient(resolve=fake_resolve),
        sources=Sources(None, allowed=(), own_bucket="limpid"),
    )
    engine.dispose()


@pytest.fixture(scope="session")
def _read_settings() -> Settings:
    """Read from the environment once: that takes longer than most tests do."""
    return Settings(max_upload_bytes=4_000_000, max_duration_s=60.0)


@pytest.fixture
def settings(_read_settings: Settings, tmp_path: Path) -> Settings:
    return _read_settings.model_copy(update={"data_dir": tmp_path})


@pytest.fixture
def app(settings: Settings, backend: Backend) -> FastAPI:
    return create_app(settings, backend)


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    """Sees what a real client sees: an unexpected error is a response, not an exception."""
    return TestClient(app, raise_server_exceptions=False)

"""A server for the commands: the real application on fakes, with a worker that is done at once, without a network."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from api.main import create_app
from core.backend import Backend
from core.database import create_engine_for
from core.fleet.installed import InstalledModels
from core.jobs import Device, Lane
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
from tests.unit.api.jobs_on_record import finish, start

RESULT = b"RIFF enhanced"


class EagerQueue(FakeJobQueue):
    """Has a worker that does the job within `send_job`."""

    def __init__(self) -> None:
        super().__init__()
        self.work: Callable[[str], None] = lambda job_id: None

    def send_job(self, job_id: str, *, device: Device, lane: Lane) -> None:
        super().send_job(job_id, device=device, lane=lane)
        self.work(job_id)


@pytest.fixture
def store() -> FakeObjectStore:
    return FakeObjectStore()


@pytest.fixture
def jobs() -> FakeJobRepository:
    return FakeJobRepository()


@pytest.fixture
def queue(jobs: FakeJobRepository, store: FakeObjectStore) -> EagerQueue:
    """Succeeds with one file unless told otherwise."""
    queue = EagerQueue()

    def work(job_id: str) -> None:
        name = jobs.get(job_id).input.name
        finish(jobs, store, start(jobs, job_id), {name.replace(".wav", ".enhanced.wav"): RESULT})

    queue.work = work
    return queue


@pytest.fixture
def transport(
    tmp_path: Path, store: FakeObjectStore, jobs: FakeJobRepository, queue: EagerQueue
) -> httpx.MockTransport:
    """Carries httpx requests into the application."""
    settings = Settings(data_dir=tmp_path / "server")
    backend = Backend(
        store=store,
        jobs=jobs,
        queue=queue,
        keys=FakeKeyRepository(),
        idempotency=FakeIdempotencyRepository(),
        uploads=UploadDesk(uploads=FakeUploadRepository(), parts=StoredParts(store), store=store),
        usage=FakeUsageRepository(jobs),
        history=FakeRunHistory(jobs),
        batches=FakeBatchRepository(jobs),
        deliveries=SqlOutbox(create_engine_for(settings)),
        fleet=FakeFleet(),
        installed=InstalledModels(FakeFleet(), settings=settings),
        census=FakeCensusTaker(),
        loads=FakeQueueLoads(),
        outbound=OutboundClient(resolve=fake_resolve),
        sources=Sources(None, allowed=(), own_bucket="limpid"),
    )
    server = TestClient(create_app(settings, backend))

    def handle(request: httpx.Request) -> httpx.Response:
        answer = server.request(
            request.method,
            str(request.url),
            content=request.read(),
            headers=list(request.headers.items()),
            follow_redirects=False,
        )
        return httpx.Response(answer.status_code, headers=list(answer.headers.items()), content=answer.content)

    return httpx.MockTransport(handle)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "in" / "talk.wav")


def write_recording(path: Path) -> Path:
    buffer = io.BytesIO()
    soundfile.write(buffer, 0.1 * np.random.default_rng(1).standard_normal(8000), 16_000, format="WAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return path

"""Webhooks and inputs by URL through real processes, on Postgres, Redis and S3 and on SQLite and folders."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from uuid import uuid4

import numpy as np
import pytest
import soundfile
from standardwebhooks import Webhook as Verifier

from core.access.keys import ANYONE
from core.ids import new_id
from core.jobs import Job, JobStatus
from core.object_keys import input_key
from core.services import JobRequest, file_at, submit_unfetched
from core.webhooks.events import EventType, Webhook
from core.webhooks.outbox import Delivery, DeliveryStatus
from core.webhooks.service import replay_delivery
from core.webhooks.signing import new_secret
from tests.integration.stack import Stack
from tests.servers import S3Account, wait_until
from tests.web_server import Received, Reply, WebServer, web_server
from worker.lease import utc_now

SAMPLE_RATE = 16_000
TIMEOUT_S = 60.0
SECRET = new_secret()

pytestmark = pytest.mark.timeout(300)


class Elsewhere:
    """A web server that has one recording at /talk.wav, and answers events by `statuses`, at last with 204."""

    def __init__(self) -> None:
        self.recording = _recording()
        self.statuses: list[int] = []

    def __call__(self, request: Received) -> Reply:
        if request.method == "GET":
            return Reply(headers={"Content-Type": "audio/wav"}, body=self.recording)
        return Reply(status=self.statuses.pop(0) if self.statuses else 204)


@pytest.fixture(scope="module", params=["embedded", "real"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with housekeeping; it may reach 127.0.0.1, and signs with SECRET."""
    servers = {"LIMPID_WEBHOOK_SECRET": SECRET, "LIMPID_WEBHOOK_ALLOW": "127.0.0.0/8"}
    if request.param == "real":
        account: S3Account = request.getfixturevalue("s3_account")
        servers |= {
            "LIMPID_DATABASE_URL": request.getfixturevalue("module_postgres_database"),
            "LIMPID_BROKER_URL": request.getfixturevalue("redis_url"),
            "LIMPID_S3_ENDPOINT": account.endpoint,
            "LIMPID_S3_ACCESS_KEY": account.access_key,
            "LIMPID_S3_SECRET_KEY": account.secret_key,
            "LIMPID_S3_BUCKET": f"limpid-test-{uuid4().hex}",
        }
    opened = Stack.open(tmp_path_factory.mktemp(request.param), servers)
    opened.start_housekeeping()
    yield opened
    opened.close()


@pytest.fixture
def elsewhere() -> Elsewhere:
    """What the web server does."""
    return Elsewhere()


@pytest.fixture
def server(elsewhere: Elsewhere) -> Iterator[WebServer]:
    """The web server itself."""
    with web_server(elsewhere) as running:
        yield running


def _recording() -> bytes:
    buffer = io.BytesIO()
    samples = 0.1 * np.random.default_rng(5).standard_normal(2 * SAMPLE_RATE + 7)
    soundfile.write(buffer, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def submit(stack: Stack, server: WebServer, *, recording: str = "/talk.wav") -> Job:
    """Submit a job by URL that calls /hook."""
    job_id, desk = new_id(), stack.backend.job_desk(stack.settings)
    return submit_unfetched(
        file_at(server.url(recording), key=input_key(job_id), outbound=desk.outbound),
        JobRequest(preset="clean-only", webhook=Webhook(url=server.url("/hook"))),
        job_id=job_id,
        desk=desk,
        now=utc_now(),
    )


def events_of(server: WebServer) -> list[Received]:
    """What the receiver was sent so far."""
    return [request for request in server.received if request.method == "POST"]


def wait_for_delivery(stack: Stack, job: Job, *statuses: DeliveryStatus) -> Delivery:
    """The job's delivery once it is in one of `statuses`."""

    def deliveries() -> list[Delivery]:
        found = stack.backend.deliveries.list(job_id=job.id).deliveries
        return [delivery for delivery in found if delivery.status in statuses]

    wait_until(lambda: bool(deliveries()), timeout_s=TIMEOUT_S, what=f"the event of {job.id} is {statuses}")
    [delivery] = deliveries()
    return delivery


def test_job_by_url_succeeds_and_its_event_verifies(stack: Stack, server: WebServer, elsewhere: Elsewhere) -> None:
    worker = stack.start_worker(has_faults=False)
    job = submit(stack, server)

    ended = stack.wait_until_ended(job.id)
    delivery = wait_for_delivery(stack, job, DeliveryStatus.DELIVERED)
    stack.stop(worker)

    assert (ended.status, ended.error) == (JobStatus.SUCCEEDED, None)
    assert (ended.input.name, ended.input.bytes) == ("talk.wav", len(elsewhere.recording))
    with stack.backend.store.open_reader(ended.outputs[0].key) as reader:
        samples, sample_rate = soundfile.read(io.BytesIO(reader.read()))
    assert (len(samples), sample_rate) == (2 * SAMPLE_RATE + 7, SAMPLE_RATE)
    [request] = events_of(server)
    event = Verifier(SECRET).verify(request.body, request.headers)
    assert request.headers["webhook-id"] == delivery.id
    assert event["type"] == "job.succeeded"
    assert event["data"]["id"] == job.id
    assert [output["sha256"] for output in event["data"]["outputs"]] == [output.sha256 for output in ended.outputs]


def test_recording_that_is_not_there_fails_the_job_and_says_so(stack: Stack, elsewhere: Elsewhere) -> None:
    worker = stack.start_worker(has_faults=False)
    with web_server(lambda request: Reply(status=404 if request.method == "GET" else 200)) as server:
        job = submit(stack, server)

        ended = stack.wait_until_ended(job.id)
        wait_for_delivery(stack, job, DeliveryStatus.DELIVERED)
    stack.stop(worker)

    assert ended.error is not None
    assert ended.error.code == "fetch_failed"
    [request] = events_of(server)
    assert json.loads(request.body)["type"] == "job.failed"


def test_event_is_sent_again_under_its_id_until_the_receiver_takes_it(
    stack: Stack, server: WebServer, elsewhere: Elsewhere
) -> None:
    elsewhere.statuses = [500]
    job = submit(stack, server)
    stack.backend.jobs.request_cancel(job.id, now=utc_now())

    delivery = wait_for_delivery(stack, job, DeliveryStatus.DELIVERED)

    assert (delivery.event, delivery.attempts) == (EventType.JOB_CANCELLED, 2)
    first, second = events_of(server)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery.id
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) >= 4
    Verifier(SECRET).verify(second.body, second.headers)


def test_receiver_that_is_gone_hears_nothing_until_a_replay_reaches_it(
    stack: Stack, server: WebServer, elsewhere: Elsewhere
) -> None:
    elsewhere.statuses = [410]
    first, second = submit(stack, server), submit(stack, server)
    stack.backend.jobs.request_cancel(first.id, now=utc_now())
    gone = wait_for_delivery(stack, first, DeliveryStatus.DISABLED)

    stack.backend.jobs.request_cancel(second.id, now=utc_now())
    assert wait_for_delivery(stack, second, DeliveryStatus.DISABLED).attempts == 0
    assert len(events_of(server)) == 1
    replay_delivery(gone.id, caller=ANYONE, log=stack.backend.deliveries, queue=stack.backend.queue, now=utc_now())

    wait_for_delivery(stack, first, DeliveryStatus.DELIVERED)
    assert wait_for_delivery(stack, second, DeliveryStatus.FAILED).attempts == 0
    assert {request.headers["webhook-id"] for request in events_of(server)} == {gone.id}

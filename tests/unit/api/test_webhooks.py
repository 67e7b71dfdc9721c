"""The log of deliveries over REST, on a real outbox in SQLite."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine

from api.main import create_app
from core.access.keys import Scope, create_key
from core.backend import Backend
from core.settings import Settings
from core.webhooks.outbox import Delivery, DeliveryStatus, Outcome
from core.webhooks.outbox_sql import SqlOutbox
from core.webhooks.signing import new_secret
from tests.access_fakes import FakeKeyRepository
from tests.contracts.outbox import make_delivery
from tests.factories import NOON
from tests.fakes import PRIVATE_NAME, FakeJobQueue
from tests.fixed_ids import UNKNOWN_ID

DELIVERIES = "/api/v1/webhooks/deliveries"
TEST = "/api/v1/webhooks/test"
HOOK = "https://example.com/hooks/limpid"


@pytest.fixture
def outbox(sqlite_engine: Engine) -> SqlOutbox:
    return SqlOutbox(sqlite_engine)


@pytest.fixture
def backend(backend: Backend, outbox: SqlOutbox) -> Backend:
    return replace(backend, deliveries=outbox)


def ended(outbox: SqlOutbox, outcome: Outcome, **changes: Any) -> Delivery:  # noqa: ANN401
    """A delivery after one attempt that came to `outcome`."""
    outbox.add(make_delivery(**changes))
    claimed = outbox.claim_due(lease_s=60, now=NOON)
    assert claimed is not None
    outbox.record(claimed, outcome, now=NOON)
    return outbox.get(claimed.id)


def _json_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


FAILED = Outcome(status=DeliveryStatus.FAILED, http_status=500, error="The receiver answered HTTP 500.")


def test_delivery_tells_how_it_went_and_nothing_secret(client: TestClient, outbox: SqlOutbox) -> None:
    delivery = ended(outbox, FAILED, url=HOOK, secret=new_secret())

    response = client.get(f"{DELIVERIES}/{delivery.id}")

    assert response.status_code == 200
    assert response.json() == {
        "id": delivery.id,
        "job_id": delivery.job_id,
        "batch_id": None,
        "event": "job.succeeded",
        "url": HOOK,
        "status": "failed",
        "attempts": 1,
        "next_attempt_at": None,
        "last_attempt_at": _json_time(NOON),
        "last_status": 500,
        "last_error": "The receiver answered HTTP 500.",
        "created_at": _json_time(NOON),
    }


def test_list_pages_newest_first_and_filters(client: TestClient, outbox: SqlOutbox) -> None:
    failed = ended(outbox, FAILED)
    waiting = [make_delivery() for _ in range(3)]
    for delivery in waiting:
        outbox.add(delivery)

    first = client.get(DELIVERIES, params={"limit": 3}).json()
    second = client.get(DELIVERIES, params={"limit": 3, "cursor": first["next_cursor"]}).json()

    assert [item["id"] for item in first["deliveries"]] == [delivery.id for delivery in waiting[::-1]]
    assert [item["id"] for item in second["deliveries"]] == [failed.id]
    assert second["next_cursor"] is None
    by_status = client.get(DELIVERIES, params={"status": "failed"}).json()["deliveries"]
    by_job = client.get(DELIVERIES, params={"job": waiting[0].job_id}).json()["deliveries"]
    assert [item["id"] for item in by_status] == [failed.id]
    assert [item["id"] for item in by_job] == [waiting[0].id]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"status": "lost"}, 422),
        ({"job": "x"}, 422),
        ({"limit": "0"}, 422),
        ({"cursor": "'"}, 422),
        ({"cursor": "x"}, 400),
    ],
)
def test_list_refuses_what_it_does_not_know(client: TestClient, parameters: dict[str, str], status: int) -> None:
    assert client.get(DELIVERIES, params=parameters).status_code == status


def test_replay_makes_it_pending_and_asks_for_it(client: TestClient, outbox: SqlOutbox, queue: FakeJobQueue) -> None:
    delivery = ended(outbox, FAILED)

    response = client.post(f"{DELIVERIES}/{delivery.id}/replay")

    assert response.status_code == 202
    told = response.json()
    assert (told["id"], told["status"], told["attempts"]) == (delivery.id, "pending", 0)
    assert queue.deliveries_asked_for == 1
    assert outbox.has_due(now=datetime.now(UTC))


def test_replay_of_what_is_pending_is_a_conflict(client: TestClient, outbox: SqlOutbox) -> None:
    delivery = make_delivery()
    outbox.add(delivery)

    response = client.post(f"{DELIVERIES}/{delivery.id}/replay")

    assert response.status_code == 409
    assert outbox.get(delivery.id) == delivery


@pytest.mark.parametrize("delivery_id", [UNKNOWN_ID, "nonsense", "%00"])
def test_unknown_delivery_is_not_found(client: TestClient, delivery_id: str) -> None:
    assert client.get(f"{DELIVERIES}/{delivery_id}").status_code == 404
    assert client.post(f"{DELIVERIES}/{delivery_id}/replay").status_code == 404


def test_test_event_goes_into_the_outbox(client: TestClient, outbox: SqlOutbox, queue: FakeJobQueue) -> None:
    secret = new_secret()

    response = client.post(TEST, json={"url": HOOK, "secret": secret})

    assert response.status_code == 202
    told = response.json()
    assert response.headers["Location"] == f"{DELIVERIES}/{told['id']}"
    assert (told["event"], told["job_id"], told["status"]) == ("webhook.test", None, "pending")
    assert secret not in response.text
    stored = outbox.get(told["id"])
    assert (stored.url, stored.secret) == (HOOK, secret)
    assert queue.deliveries_asked_for == 1


def test_broker_that_is_down_leaves_the_test_event_due(
    client: TestClient, outbox: SqlOutbox, queue: FakeJobQueue
) -> None:
    queue.is_down = True

    response = client.post(TEST, json={"url": HOOK})

    assert response.status_code == 202
    assert outbox.get(response.json()["id"]).status is DeliveryStatus.PENDING


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://127.0.0.1:8000/"}, "forbidden_url"),
        ({"url": f"http://{PRIVATE_NAME}/"}, "forbidden_url"),
        ({"url": "nonsense"}, "forbidden_url"),
        ({"url": HOOK, "secret": "hunter2"}, "invalid_options"),
        ({}, "invalid_request"),
    ],
)
def test_test_event_to_nowhere_is_refused(
    client: TestClient, outbox: SqlOutbox, body: dict[str, str], code: str
) -> None:
    response = client.post(TEST, json=body)

    assert response.status_code == 422
    assert response.json()["code"] == code
    assert "hunter2" not in response.text
    assert outbox.list().deliveries == []


def test_key_sees_and_replays_its_own_deliveries_only(
    settings: Settings, backend: Backend, keys: FakeKeyRepository, outbox: SqlOutbox
) -> None:
    server = TestClient(create_app(settings.model_copy(update={"auth": "on"}), backend))
    tokens = [create_key("test", [Scope.SUBMIT, Scope.READ], keys=keys, now=NOON)[1] for _ in range(2)]
    mine, other = ({"Authorization": f"Bearer {token}"} for token in tokens)

    delivery_id = server.post(TEST, json={"url": HOOK}, headers=mine).json()["id"]

    path = f"{DELIVERIES}/{delivery_id}"
    assert server.get(path, headers=mine).status_code == 200
    assert [item["id"] for item in server.get(DELIVERIES, headers=mine).json()["deliveries"]] == [delivery_id]
    assert server.get(path, headers=other).status_code == 404
    assert server.post(f"{path}/replay", headers=other).status_code == 404
    assert server.get(DELIVERIES, headers=other).json()["deliveries"] == []
    assert server.get(DELIVERIES).status_code == 401
    assert server.post(TEST, json={"url": HOOK}).status_code == 401


def test_key_that_may_only_read_sends_nothing(
    settings: Settings, backend: Backend, keys: FakeKeyRepository, outbox: SqlOutbox
) -> None:
    server = TestClient(create_app(settings.model_copy(update={"auth": "on"}), backend))
    _, token = create_key("test", [Scope.READ], keys=keys, now=NOON)

    response = server.post(TEST, json={"url": HOOK}, headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 403
    assert outbox.list().deliveries == []


def test_server_that_cannot_sign_says_so_when_the_job_is_submitted(backend: Backend, tmp_path: Path) -> None:
    production = Settings(data_dir=tmp_path, database_url=SecretStr("postgresql://db.example/limpid"))
    client = TestClient(create_app(production, backend))

    response = client.post(TEST, json={"url": HOOK})

    assert response.status_code == 422
    assert "LIMPID_WEBHOOK_SECRET" in response.json()["detail"]
    assert client.post(TEST, json={"url": HOOK, "secret": new_secret()}).status_code == 202

"""One attempt: what is sent, and what is noted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Barrier
from typing import Any

import pytest
from standardwebhooks import Webhook

from cli.logs import JsonFormatter
from core.outbound.addresses import parse_networks
from core.outbound.client import OutboundClient
from core.webhooks.deliver import CONCURRENCY, Courier
from core.webhooks.events import EventType
from core.webhooks.outbox import Delivery, DeliveryQueue, DeliveryStatus, Outcome
from core.webhooks.signing import new_secret
from tests.factories import NOON
from tests.web_server import Received, Reply, web_server

CLIENT = OutboundClient(allow=parse_networks(["127.0.0.0/8"]))


class OneDelivery:
    """A DeliveryQueue of one."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery: Delivery | None = delivery
        self.outcomes: list[Outcome] = []
        self.is_lost = False

    def has_due(self, *, now: datetime) -> bool:
        return self.delivery is not None

    def claim_due(self, *, lease_s: float, now: datetime) -> Delivery | None:
        claimed, self.delivery = self.delivery, None
        return claimed and replace(claimed, attempts=claimed.attempts + 1, lease_token="t")

    def record(self, delivery: Delivery, outcome: Outcome, *, now: datetime) -> bool:
        self.outcomes.append(outcome)
        return not self.is_lost

    def purge(self, *, before: datetime) -> int:
        return 0


def delivery_to(url: str, **changes: Any) -> Delivery:  # noqa: ANN401
    delivery = Delivery(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        event=EventType.JOB_SUCCEEDED,
        url=url,
        payload='{"type":"job.succeeded","name":"Gespräch"}',
        created_at=NOON,
    )
    return replace(delivery, **changes)


def deliver(queue: DeliveryQueue, *, secrets: list[str], client: OutboundClient = CLIENT) -> int:
    courier = Courier(queue=queue, client=client, secrets=secrets, rng=Random(0), clock=lambda: datetime.now(UTC))
    return courier.deliver_due()


def test_event_arrives_signed_by_every_secret_of_the_server() -> None:
    new, old = new_secret(), new_secret()
    with web_server(lambda _: Reply(status=204)) as server:
        queue = OneDelivery(delivery_to(server.url("/hook")))

        assert deliver(queue, secrets=[new, old]) == 1

    (request,) = server.received
    assert request.headers["webhook-id"] == "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
    for secret in (new, old):
        assert Webhook(secret).verify(request.body, request.headers)["name"] == "Gespräch"
    assert queue.outcomes == [Outcome(status=DeliveryStatus.DELIVERED, http_status=204)]


def test_secret_of_the_clients_own_signs_alone() -> None:
    own = new_secret()
    with web_server(lambda _: Reply()) as server:
        deliver(OneDelivery(delivery_to(server.url(), secret=own)), secrets=[new_secret()])

    (request,) = server.received
    Webhook(own).verify(request.body, request.headers)
    assert len(request.headers["webhook-signature"].split()) == 1


def test_nothing_is_sent_unsigned() -> None:
    with web_server(lambda _: Reply()) as server:
        queue = OneDelivery(delivery_to(server.url()))

        deliver(queue, secrets=[])

    assert server.received == []
    assert queue.outcomes[0].status is DeliveryStatus.PENDING
    assert "LIMPID_WEBHOOK_SECRET" in (queue.outcomes[0].error or "")


def test_receivers_answer_is_not_kept() -> None:
    with web_server(lambda _: Reply(status=500, body=b"secret of the inside")) as server:
        queue = OneDelivery(delivery_to(server.url()))

        deliver(queue, secrets=[new_secret()])

    (outcome,) = queue.outcomes
    assert (outcome.status, outcome.http_status) == (DeliveryStatus.PENDING, 500)
    assert "secret" not in (outcome.error or "")


def test_receiver_in_a_private_network_is_given_up() -> None:
    with web_server(lambda _: Reply()) as server:
        queue = OneDelivery(delivery_to(server.url()))

        deliver(queue, secrets=[new_secret()], client=OutboundClient())

    assert server.received == []
    assert queue.outcomes[0].status is DeliveryStatus.FAILED


def test_receiver_that_is_not_there_is_tried_again() -> None:
    with web_server(lambda _: Reply()) as server:
        url = server.url()
    queue = OneDelivery(delivery_to(url))

    deliver(queue, secrets=[new_secret()])

    assert queue.outcomes[0].status is DeliveryStatus.PENDING
    assert queue.outcomes[0].retry_in_s == pytest.approx(5.0, rel=0.1)


def test_attempt_that_was_taken_over_is_told_from_one_that_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="core.webhooks")
    with web_server(lambda _: Reply()) as server:
        queue = OneDelivery(delivery_to(server.url()))
        queue.is_lost = True

        deliver(queue, secrets=[new_secret()])

    assert [record.message for record in caplog.records] == ["webhook_attempt_lost_its_lease"]


def test_log_line_of_an_attempt_belongs_to_the_jobs_trace(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="core.webhooks")
    caplog.handler.setFormatter(JsonFormatter())
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    with web_server(lambda _: Reply(status=204)) as server:
        deliver(
            OneDelivery(delivery_to(server.url("/hook"), traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")),
            secrets=[new_secret()],
        )

    (line,) = caplog.text.splitlines()
    assert json.loads(line)["trace_id"] == trace_id


def test_nothing_due_is_nothing_done() -> None:
    queue = OneDelivery(delivery_to("http://127.0.0.1:1/"))
    queue.delivery = None

    assert deliver(queue, secrets=[new_secret()]) == 0
    assert queue.outcomes == []


class ManyDeliveries(OneDelivery):
    """A DeliveryQueue of several."""

    def __init__(self, deliveries: list[Delivery]) -> None:
        super().__init__(deliveries[0])
        self.waiting = deliveries

    def claim_due(self, *, lease_s: float, now: datetime) -> Delivery | None:
        return self.waiting.pop(0) if self.waiting else None


def test_slow_receivers_are_waited_for_side_by_side() -> None:
    everybody_is_here = Barrier(CONCURRENCY)

    def answer(_: Received) -> Reply:
        everybody_is_here.wait(10)  # BrokenBarrierError, and no answer, if attempts were made one by one
        return Reply(status=204)

    with web_server(answer) as server:
        queue = ManyDeliveries([delivery_to(server.url())] * (2 * CONCURRENCY))

        assert deliver(queue, secrets=[new_secret()]) == 2 * CONCURRENCY

    assert {outcome.status for outcome in queue.outcomes} == {DeliveryStatus.DELIVERED}


def test_no_attempt_begins_when_it_is_time_to_stop() -> None:
    with web_server(lambda _: Reply()) as server:
        queue = OneDelivery(delivery_to(server.url()))
        courier = Courier(queue=queue, client=CLIENT, secrets=[new_secret()], rng=Random(0), clock=lambda: NOON)

        assert courier.deliver_due(may_go_on=lambda: False) == 0

    assert server.received == []
    assert queue.delivery is not None


def test_timestamp_is_the_attempts_own() -> None:
    with web_server(lambda _: Reply()) as server:
        queue = OneDelivery(delivery_to(server.url(), created_at=NOON - timedelta(days=3)))

        deliver(queue, secrets=[secret := new_secret()])

    (request,) = server.received
    Webhook(secret).verify(request.body, request.headers)  # refuses a timestamp more than five minutes off

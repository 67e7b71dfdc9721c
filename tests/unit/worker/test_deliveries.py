"""When the worker asks for deliveries, and for how long it makes them."""

from __future__ import annotations

from random import Random

import pytest
from sqlalchemy import Engine

from core.outbound.addresses import parse_networks
from core.outbound.client import OutboundClient
from core.webhooks.deliver import Courier
from core.webhooks.outbox import DeliveryStatus
from core.webhooks.outbox_sql import SqlOutbox
from core.webhooks.signing import new_secret
from tests.contracts.outbox import make_delivery
from tests.contracts.repository import after
from tests.factories import NOON
from tests.fakes import FakeJobQueue
from tests.web_server import Reply, web_server
from worker import deliveries as deliveries_module
from worker.deliveries import ask_for_deliveries, deliver_webhooks


@pytest.fixture
def outbox(sqlite_engine: Engine) -> SqlOutbox:
    """An empty outbox."""
    return SqlOutbox(sqlite_engine)


@pytest.fixture
def courier(outbox: SqlOutbox) -> Courier:
    """A courier that may reach the tests' own servers."""
    return Courier(
        queue=outbox,
        client=OutboundClient(allow=parse_networks(["127.0.0.0/8"])),
        secrets=[new_secret()],
        rng=Random(0),
        clock=lambda: NOON,
    )


def test_deliveries_are_asked_for_when_one_is_due(outbox: SqlOutbox) -> None:
    queue = FakeJobQueue()

    assert not ask_for_deliveries(outbox, queue, now=after(0))
    outbox.add(make_delivery(next_attempt_at=after(10)))
    assert not ask_for_deliveries(outbox, queue, now=after(9))
    assert ask_for_deliveries(outbox, queue, now=after(10))

    assert queue.deliveries_asked_for == 1


def test_broker_that_is_down_leaves_deliveries_due(outbox: SqlOutbox) -> None:
    queue = FakeJobQueue()
    queue.is_down = True
    outbox.add(make_delivery())

    assert not ask_for_deliveries(outbox, queue, now=after(0))
    queue.is_down = False

    assert ask_for_deliveries(outbox, queue, now=after(0))


def test_round_delivers_everything_that_is_due(outbox: SqlOutbox, courier: Courier) -> None:
    with web_server(lambda _: Reply(status=204)) as server:
        for _ in range(20):
            outbox.add(make_delivery(url=server.url()))

        assert deliver_webhooks(courier, is_shutting_down=lambda: False) == 20

    assert len({request.headers["webhook-id"] for request in server.received}) == len(server.received) == 20
    assert {delivery.status for delivery in outbox.list().deliveries} == {DeliveryStatus.DELIVERED}


def test_round_ends_when_the_worker_stops_or_its_time_is_over(
    outbox: SqlOutbox, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.add(make_delivery(url="http://127.0.0.1:1/"))

    assert deliver_webhooks(courier, is_shutting_down=lambda: True) == 0
    monkeypatch.setattr(deliveries_module, "ROUND_S", 0.0)
    assert deliver_webhooks(courier, is_shutting_down=lambda: False) == 0

    assert outbox.list().deliveries[0].attempts == 0

"""Webhooks on the worker's side: deliver what is due, and ask for it when something is."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from core.backend import Backend
from core.errors import QueueError
from core.queue import JobQueue
from core.settings import Settings
from core.webhooks.deliver import Courier
from core.webhooks.outbox import DeliveryQueue, Outcome
from core.webhooks.secrets import signing_secrets
from worker.lease import utc_now

logger = logging.getLogger(__name__)

ROUND_S = 10.0
"""A round begins no attempt after this long, so that a flood of events does not keep other tasks waiting."""

LOG_KEPT = timedelta(days=30)
"""Deliveries are listed, and can be replayed, for this long."""


def make_courier(backend: Backend, settings: Settings, *, on_attempt: Callable[[Outcome, float], None]) -> Courier:
    """The courier of this process."""
    return Courier(
        queue=backend.deliveries,
        client=backend.outbound,
        secrets=signing_secrets(settings),
        rng=random.Random(),
        clock=utc_now,
        on_attempt=on_attempt,
    )


def deliver_webhooks(courier: Courier, *, is_shutting_down: Callable[[], bool]) -> int:
    """Make the attempts that are due, for one round; how many. What is left, the next sweep asks for."""
    ends_at = time.monotonic() + ROUND_S
    return courier.deliver_due(may_go_on=lambda: time.monotonic() < ends_at and not is_shutting_down())


def ask_for_deliveries(deliveries: DeliveryQueue, queue: JobQueue, *, now: datetime) -> bool:
    """Send the message that starts a round, if anything is due; True when it went out.

    A broker that does not answer is no error: deliveries stay due, and the next sweep asks again.
    """
    if not deliveries.has_due(now=now):
        return False
    try:
        queue.send_deliveries()
    except QueueError:
        logger.warning("broker_does_not_take_messages", exc_info=True)
        return False
    return True

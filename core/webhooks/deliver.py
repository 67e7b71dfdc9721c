"""Sending what the outbox holds: one attempt per claim."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random

from core.errors import EnhancerError, ForbiddenUrl, OutboundError
from core.outbound.client import OutboundClient
from core.outbound.post import Answer, post_event
from core.webhooks.outbox import Delivery, DeliveryQueue, DeliveryStatus
from core.webhooks.policy import TIMEOUT_S, outcome_of
from core.webhooks.signing import key_of, signed_headers

logger = logging.getLogger(__name__)

LEASE_S = 4 * TIMEOUT_S
"""An attempt whose worker says nothing for this long is taken over: it has been lost."""


def deliver_next(
    queue: DeliveryQueue,
    *,
    client: OutboundClient,
    secrets: Sequence[str],
    rng: Random,
    clock: Callable[[], datetime],
) -> bool:
    """Make one attempt at the delivery that is due first; False when nothing is due.

    `secrets` are the server's, the newest first; each signs what has no secret of its own. StorageError when the
    database does not answer: the attempt is then made again when its lease ends.
    """
    delivery = queue.claim_due(lease_s=LEASE_S, now=clock())
    if delivery is None:
        return False
    answer = _attempt(delivery, client=client, secrets=secrets, now=clock())
    outcome = outcome_of(delivery, answer, rng=rng, now=clock())
    is_recorded = queue.record(delivery, outcome, now=clock())
    logger.log(
        logging.INFO if outcome.status is DeliveryStatus.DELIVERED else logging.WARNING,
        "webhook_attempted" if is_recorded else "webhook_attempt_lost",
        extra={
            "delivery_id": delivery.id,
            "job_id": delivery.job_id,
            "event_type": delivery.event,
            "attempt": delivery.attempts,
            "status": outcome.status,
            "http_status": outcome.http_status,
            "reason": outcome.error,
        },
    )
    return True


def _attempt(
    delivery: Delivery, *, client: OutboundClient, secrets: Sequence[str], now: datetime
) -> Answer | EnhancerError:
    own = (delivery.secret,) if delivery.secret is not None else ()
    keys = [key_of(secret) for secret in own or secrets]
    if not keys:
        return OutboundError("The worker has no LIMPID_WEBHOOK_SECRET to sign the event with.")
    body = delivery.payload.encode()
    headers = signed_headers(delivery.id, body, keys=keys, sent_at=now)
    try:
        return post_event(delivery.url, body, headers=headers, timeout_s=TIMEOUT_S, client=client)
    except (ForbiddenUrl, OutboundError) as error:
        return error

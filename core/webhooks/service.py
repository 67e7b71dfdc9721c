"""Use cases around webhooks: is this one possible, try it, send it again."""

from __future__ import annotations

import logging
from datetime import datetime

from core.access.keys import Caller
from core.errors import InvalidOptions, NotFound, QueueError
from core.ids import new_id
from core.outbound.client import OutboundClient
from core.queue import JobQueue
from core.settings import Settings
from core.webhooks.events import EventType, Webhook
from core.webhooks.outbox import Delivery, DeliveryLog
from core.webhooks.payload import probe_payload
from core.webhooks.secrets import can_sign
from core.webhooks.signing import key_of

logger = logging.getLogger(__name__)


def check_webhook(webhook: Webhook, *, outbound: OutboundClient, settings: Settings) -> None:
    """ForbiddenUrl or InvalidOptions when events could not be sent to `webhook`."""
    if webhook.secret is not None:
        try:
            key_of(webhook.secret)
        except ValueError as error:
            raise InvalidOptions(str(error)) from None
    elif not can_sign(settings):
        raise InvalidOptions(
            "The server has no secret to sign webhooks with: give one (webhook.secret), or ask the operator to set "
            "LIMPID_WEBHOOK_SECRET."
        )
    outbound.check_url(webhook.url)


def find_delivery(delivery_id: str, *, log: DeliveryLog, caller: Caller) -> Delivery:
    """The delivery; NotFound when there is none, or it is not the caller's."""
    delivery = log.get(delivery_id)
    if not caller.is_admin and (caller.owner is None or delivery.owner != caller.owner):
        raise NotFound("There is no such delivery.")
    return delivery


def send_test_event(
    webhook: Webhook,
    *,
    caller: Caller,
    log: DeliveryLog,
    queue: JobQueue,
    outbound: OutboundClient,
    settings: Settings,
    now: datetime,
) -> Delivery:
    """Send a `webhook.test` event, once; the delivery tells later how it went. Raises as `check_webhook` does."""
    check_webhook(webhook, outbound=outbound, settings=settings)
    delivery = Delivery(
        id=new_id(),
        owner=caller.owner,
        event=EventType.WEBHOOK_TEST,
        url=webhook.url,
        secret=webhook.secret,
        payload=probe_payload(now=now),
        created_at=now,
        next_attempt_at=now,
    )
    log.add(delivery)
    _ask_for_deliveries(queue)
    return delivery


def replay_delivery(delivery_id: str, *, caller: Caller, log: DeliveryLog, queue: JobQueue, now: datetime) -> Delivery:
    """Send an event again from the first attempt, under its old id; NotFound, or Conflict while it is pending."""
    find_delivery(delivery_id, log=log, caller=caller)
    delivery = log.replay(delivery_id, now=now)
    logger.info("webhook_replayed", extra={"delivery_id": delivery.id, "job_id": delivery.job_id})
    _ask_for_deliveries(queue)
    return delivery


def _ask_for_deliveries(queue: JobQueue) -> None:
    """Tell a worker now. A broker that does not answer is no error: the sweeper asks later."""
    try:
        queue.send_deliveries()
    except QueueError as error:
        logger.warning("deliveries_not_asked_for", extra={"reason": error.detail})

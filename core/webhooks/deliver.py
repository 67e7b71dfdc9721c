"""Sending what the outbox holds: one attempt per claim, several at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from threading import BoundedSemaphore

from opentelemetry.trace import SpanKind

from core.errors import EnhancerError, ForbiddenUrl, OutboundError
from core.monitoring.tracing import HEADER, current_traceparent, span
from core.outbound.client import OutboundClient
from core.outbound.post import Answer, post_event
from core.webhooks.outbox import Delivery, DeliveryQueue, DeliveryStatus, Outcome
from core.webhooks.policy import TIMEOUT_S, outcome_of
from core.webhooks.signing import key_of, signed_headers

logger = logging.getLogger(__name__)

LEASE_S = 2 * TIMEOUT_S
"""Twice what an attempt may take: one whose worker says nothing for this long is lost, and made again."""

CONCURRENCY = 8
"""Attempts at a time in one process: receivers that answer slowly must not hold up the others."""


def _trace_header() -> Mapping[str, str]:
    traceparent = current_traceparent()
    return {} if traceparent is None else {HEADER: traceparent}


def _ignore(outcome: Outcome, duration_s: float) -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Courier:
    """Makes attempts. `secrets` are the server's, the current one first: they sign what has no secret of its own.

    `on_attempt` is told what each attempt came to and how many seconds it took, from any of the courier's threads.
    """

    queue: DeliveryQueue
    client: OutboundClient
    secrets: Sequence[str] = field(repr=False)
    rng: Random
    clock: Callable[[], datetime]
    on_attempt: Callable[[Outcome, float], None] = _ignore

    def deliver_due(self, may_go_on: Callable[[], bool] = lambda: True) -> int:
        """Make an attempt at every delivery that is due, as long as `may_go_on`; how many.

        Attempts that have begun are finished. StorageError when the database does not answer: what was claimed is due
        again when its lease ends.
        """
        slots = BoundedSemaphore(CONCURRENCY)
        attempts: list[Future[None]] = []
        with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="webhook") as pool:
            while may_go_on():
                slots.acquire()
                delivery = self.queue.claim_due(lease_s=LEASE_S, now=self.clock())
                if delivery is None:
                    break
                attempt = pool.submit(self._attempt, delivery)
                attempt.add_done_callback(lambda _: slots.release())
                attempts.append(attempt)
        for attempt in attempts:
            attempt.result()
        return len(attempts)

    def _attempt(self, delivery: Delivery) -> None:
        began_at = time.monotonic()
        about = {"limpid.job_id": delivery.job_id or "", "limpid.delivery_id": delivery.id}
        with span("deliver webhook", about, kind=SpanKind.CLIENT, parent=delivery.traceparent) as attempt:
            answer = self._send(delivery)
            now = self.clock()
            outcome = outcome_of(delivery, answer, rng=self.rng, now=now)
            attempt.set_attribute("limpid.outcome", outcome.status.value)
            self.on_attempt(outcome, time.monotonic() - began_at)
            is_recorded = self.queue.record(delivery, outcome, now=now)
            logger.log(
                logging.INFO if outcome.status is DeliveryStatus.DELIVERED else logging.WARNING,
                "webhook_attempted" if is_recorded else "webhook_attempt_lost_its_lease",
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

    def _send(self, delivery: Delivery) -> Answer | EnhancerError:
        own = (delivery.secret,) if delivery.secret is not None else ()
        keys = [key_of(secret) for secret in own or self.secrets]
        if not keys:
            return OutboundError("The worker has no LIMPID_WEBHOOK_SECRET to sign the event with.")
        body = delivery.payload.encode()
        headers = {**signed_headers(delivery.id, body, keys=keys, sent_at=self.clock()), **_trace_header()}
        try:
            return post_event(delivery.url, body, headers=headers, timeout_s=TIMEOUT_S, client=self.client)
        except (ForbiddenUrl, OutboundError) as error:
            return error

"""Events on their way to clients: what a delivery is, and the ports that keep them.

A job's event is stored in the transaction that ends the job (core.repository_sql), so that neither exists without the
other. From there on it is delivered at least once, under one id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from core.webhooks.events import EventType


class DeliveryStatus(StrEnum):
    """The states of a delivery."""

    PENDING = "pending"  # to be sent, or to be sent again
    DELIVERED = "delivered"
    FAILED = "failed"  # given up
    DISABLED = "disabled"  # the receiver said 410 Gone: nothing is sent there any more


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event for one URL; a snapshot of its row."""

    id: str  # the message's id for the receiver, the same at every attempt
    event: EventType
    url: str
    payload: str  # JSON, the bytes that are signed
    created_at: datetime
    job_id: str | None = None
    batch_id: str | None = None  # of a batch's own event; a job's names its job alone
    owner: str | None = None  # the API key's id; None: made while authentication was off
    secret: str | None = field(default=None, repr=False)  # None: the server's
    traceparent: str | None = None  # W3C: the request that submitted the job
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: int = 0  # begun so far
    next_attempt_at: datetime | None = None  # None: there is none
    last_attempt_at: datetime | None = None
    last_status: int | None = None  # HTTP; None: no answer yet, or none at the last attempt
    last_error: str | None = None
    lease_token: str | None = field(default=None, repr=False)  # of the attempt in progress


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one attempt comes to."""

    status: DeliveryStatus
    retry_in_s: float | None = None  # set when it is still pending
    http_status: int | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class DeliveryPage:
    """Some deliveries, newest first, and the cursor that continues after them (None at the end)."""

    deliveries: Sequence[Delivery]
    next_cursor: str | None


class DeliveryLog(Protocol):
    """Deliveries, for clients: what the API needs."""

    def add(self, delivery: Delivery) -> None: ...

    def get(self, delivery_id: str) -> Delivery:
        """NotFound when there is no such delivery."""
        ...

    def list(
        self,
        *,
        owner: str | None = None,
        job_id: str | None = None,
        batch_id: str | None = None,
        status: DeliveryStatus | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> DeliveryPage:
        """The page of deliveries after `cursor` (a DeliveryPage's), newest first; `owner` None: everyone's."""
        ...

    def replay(self, delivery_id: str, *, now: datetime) -> Delivery:
        """Begin again, from the first attempt, under the same id; Conflict when it is pending anyway."""
        ...


class DeliveryQueue(Protocol):
    """Deliveries, for workers."""

    def has_due(self, *, now: datetime) -> bool:
        """True when a delivery waits that may be sent now."""
        ...

    def claim_due(self, *, lease_s: float, now: datetime) -> Delivery | None:
        """Take a due delivery: attempts + 1 and a fresh lease token; None when nothing is due.

        First attempts go before retries, so that a dead receiver does not hold up the others. A delivery whose worker
        was lost is due again after `lease_s`.
        """
        ...

    def record(self, delivery: Delivery, outcome: Outcome, *, now: datetime) -> bool:
        """Note what the attempt of a claimed delivery came to; False when its lease has passed to another worker.

        `disabled` turns off every pending delivery to the same URL, and those to come. `delivered` turns it on again.
        """
        ...

    def purge(self, *, before: datetime) -> int:
        """Delete the deliveries that ended and were created before this time; how many."""
        ...

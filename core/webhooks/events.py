"""What a client can be told by webhook, and what it asks for when it submits. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal


class EventType(StrEnum):
    """The `type` of an event (Standard Webhooks: full-stop delimited)."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    BATCH_COMPLETED = "batch.completed"  # every item of it has ended, however
    WEBHOOK_TEST = "webhook.test"  # sent on request only


JobEvent = Literal[EventType.JOB_SUCCEEDED, EventType.JOB_FAILED, EventType.JOB_CANCELLED]

JOB_EVENTS: tuple[JobEvent, ...] = (EventType.JOB_SUCCEEDED, EventType.JOB_FAILED, EventType.JOB_CANCELLED)

BatchEvent = Literal[EventType.BATCH_COMPLETED]

BATCH_EVENTS: tuple[BatchEvent, ...] = (EventType.BATCH_COMPLETED,)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where the events of one job or batch go."""

    url: str
    events: tuple[EventType, ...] = JOB_EVENTS  # those that are wanted
    secret: str | None = field(default=None, repr=False)  # `whsec_…` of the client's own; None: the server's

    def restricted_to(self, events: Collection[EventType]) -> Webhook | None:
        """The same for these events alone; None when it wants none of them."""
        wanted = tuple(event for event in self.events if event in events)
        return replace(self, events=wanted) if wanted else None

"""What a client can be told by webhook, and what it asks for when it submits. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class EventType(StrEnum):
    """The `type` of an event (Standard Webhooks: full-stop delimited)."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    WEBHOOK_TEST = "webhook.test"  # sent on request only


JobEvent = Literal[EventType.JOB_SUCCEEDED, EventType.JOB_FAILED, EventType.JOB_CANCELLED]

JOB_EVENTS: tuple[JobEvent, ...] = (EventType.JOB_SUCCEEDED, EventType.JOB_FAILED, EventType.JOB_CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where one job's events go."""

    url: str
    events: tuple[EventType, ...] = JOB_EVENTS  # those that are wanted
    secret: str | None = field(default=None, repr=False)  # `whsec_…` of the client's own; None: the server's

"""What clients see of webhook deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from core.outbound.destination import MAX_URL_CHARS
from core.webhooks.events import EventType
from core.webhooks.outbox import Delivery, DeliveryStatus

_EXAMPLE: dict[str, JsonValue] = {
    "id": "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c",
    "job_id": "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "batch_id": None,
    "event": "job.succeeded",
    "url": "https://example.com/hooks/limpid",
    "status": "pending",
    "attempts": 1,
    "next_attempt_at": "2026-11-20T10:05:03Z",
    "last_attempt_at": "2026-11-20T10:05:00Z",
    "last_status": 503,
    "last_error": "The receiver answered HTTP 503.",
    "created_at": "2026-11-20T10:05:00Z",
}


class DeliveryView(BaseModel):
    """One event on its way to one URL."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": _EXAMPLE})

    id: str = Field(description="The `webhook-id` that the receiver sees, the same at every attempt")
    job_id: str | None = Field(description="null for a test, and for a batch's own event")
    batch_id: str | None = Field(description="Of a batch's own event")
    event: EventType
    url: str
    status: DeliveryStatus = Field(
        description="`failed`: given up. `disabled`: the receiver answered 410 Gone, and gets nothing more until a "
        "replay or a test reaches it."
    )
    attempts: int = Field(description="Begun so far; at most ten")
    next_attempt_at: datetime | None = Field(description="null: there is none")
    last_attempt_at: datetime | None
    last_status: int | None = Field(description="HTTP status of the last attempt; null: no answer")
    last_error: str | None
    created_at: datetime

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        return cls.model_validate(delivery)


class DeliveryListView(BaseModel):
    """A page of deliveries, newest first."""

    deliveries: list[DeliveryView]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end")


class WebhookTestRequest(BaseModel):
    """Where to send a test event."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=MAX_URL_CHARS, examples=["https://example.com/hooks/limpid"])
    secret: str | None = Field(default=None, description="`whsec_…`; null: the server's own")

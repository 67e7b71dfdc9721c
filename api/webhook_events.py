"""The events that clients receive, described for them in OpenAPI's `webhooks`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from api.batch_views import BatchView
from api.schemas import JobView
from core.webhooks.events import BATCH_EVENTS, JOB_EVENTS, BatchEvent, EventType, JobEvent

router = APIRouter()

_HOW = (
    "Sent to the `webhook.url` of the job or batch, signed by Standard Webhooks. Answer 2xx within 15 seconds; "
    "anything else is tried again for three days. 410 ends it. The same event may arrive twice, with the same "
    "`webhook-id`."
)


class JobEventView(BaseModel):
    """What a receiver gets."""

    type: JobEvent
    timestamp: datetime
    data: JobView
    omitted: list[str] = Field(
        default=[], description="Fields of `data` that did not fit into 20 kB; `GET /jobs/{id}` has them"
    )


class BatchEventView(BaseModel):
    """What a receiver gets."""

    type: BatchEvent
    timestamp: datetime
    data: BatchView
    omitted: list[str] = Field(
        default=[], description="`items`, when they did not fit into 20 kB; `GET /batches/{id}` has them"
    )


WebhookIdDep = Annotated[str, Header(alias="webhook-id", description="The same at every attempt")]
WebhookTimestampDep = Annotated[int, Header(alias="webhook-timestamp", description="Seconds since 1970")]
WebhookSignatureDep = Annotated[
    str,
    Header(
        alias="webhook-signature",
        description="`v1,` and the base64 of HMAC-SHA256 of `id.timestamp.body`; several, with spaces, while the "
        "secret changes",
    ),
]


def _receive_job(
    body: JobEventView,
    webhook_id: WebhookIdDep,
    webhook_timestamp: WebhookTimestampDep,
    webhook_signature: WebhookSignatureDep,
) -> None:
    """Never called: receivers are elsewhere."""


def _receive_batch(
    body: BatchEventView,
    webhook_id: WebhookIdDep,
    webhook_timestamp: WebhookTimestampDep,
    webhook_signature: WebhookSignatureDep,
) -> None:
    """Never called: receivers are elsewhere."""


def _describe(event: EventType, receive: Callable[..., None], summary: str) -> None:
    router.add_api_route(
        event.value,
        receive,
        methods=["POST"],
        summary=summary,
        description=_HOW,
        operation_id=f"on_{event.value.replace('.', '_')}",
        tags=["webhooks"],
        status_code=204,
    )


for _event in JOB_EVENTS:
    _describe(_event, _receive_job, f"A job has ended: {_event.value.removeprefix('job.')}")
for _batch_event in BATCH_EVENTS:
    _describe(_batch_event, _receive_batch, "Every item of a batch has ended")

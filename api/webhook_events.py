"""The events that clients receive, described for them in OpenAPI's `webhooks`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from api.schemas import JobView
from core.webhooks.events import JOB_EVENTS, JobEvent

router = APIRouter()

_HOW = (
    "Sent to the job's `webhook.url`, signed by Standard Webhooks. Answer 2xx within 15 seconds; anything else is "
    "tried again for three days. 410 ends it. The same event may arrive twice, with the same `webhook-id`."
)


class JobEventView(BaseModel):
    """What a receiver gets."""

    type: JobEvent
    timestamp: datetime
    data: JobView
    omitted: list[str] = Field(
        default=[], description="Fields of `data` that did not fit into 20 kB; `GET /jobs/{id}` has them"
    )


def _receive(
    body: JobEventView,
    webhook_id: Annotated[str, Header(alias="webhook-id", description="The same at every attempt")],
    webhook_timestamp: Annotated[int, Header(alias="webhook-timestamp", description="Seconds since 1970")],
    webhook_signature: Annotated[
        str,
        Header(
            alias="webhook-signature",
            description="`v1,` and the base64 of HMAC-SHA256 of `id.timestamp.body`; several, with spaces, while the "
            "secret changes",
        ),
    ],
) -> None:
    """Never called: receivers are elsewhere."""


for _event in JOB_EVENTS:
    router.add_api_route(
        _event.value,
        _receive,
        methods=["POST"],
        summary=f"A job has ended: {_event.value.removeprefix('job.')}",
        description=_HOW,
        operation_id=f"on_{_event.value.replace('.', '_')}",
        tags=["webhooks"],
        status_code=204,
    )

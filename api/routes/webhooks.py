"""Webhooks: what was sent, send it again, try a receiver."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.auth import ReaderDep, SubmitterDep
from api.delivery_schemas import DeliveryListView, DeliveryView, WebhookTestRequest
from api.deps import BackendDep, SettingsDep
from api.openapi import LOCATION_HEADER, problems
from api.schemas import API_PREFIX
from core.errors import Conflict, ForbiddenUrl, InvalidInput, NotFound, StorageError
from core.ids import ID_PATTERN
from core.webhooks.events import Webhook
from core.webhooks.outbox import DeliveryStatus
from core.webhooks.service import find_delivery, replay_delivery, send_test_event

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

MAX_PAGE = 200
_CURSOR = r"^[\w-]{1,64}$"


@router.get(
    "/deliveries",
    summary="List deliveries",
    responses=problems({400: InvalidInput, 422: InvalidInput, 503: StorageError}),
)
def list_deliveries(
    caller: ReaderDep,
    backend: BackendDep,
    job: Annotated[str | None, Query(pattern=ID_PATTERN, description="Only those of this job")] = None,
    batch: Annotated[str | None, Query(pattern=ID_PATTERN, description="Only those of this batch's own event")] = None,
    status: Annotated[DeliveryStatus | None, Query(description="Only those in this state")] = None,
    cursor: Annotated[str | None, Query(pattern=_CURSOR, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> DeliveryListView:
    """The newest first, page by page; kept for 30 days."""
    owner = None if caller.is_admin else caller.owner
    page = backend.deliveries.list(owner=owner, job_id=job, batch_id=batch, status=status, cursor=cursor, limit=limit)
    return DeliveryListView(
        deliveries=[DeliveryView.of(delivery) for delivery in page.deliveries], next_cursor=page.next_cursor
    )


@router.get(
    "/deliveries/{delivery_id}", summary="Follow a delivery", responses=problems({404: NotFound, 503: StorageError})
)
def get_delivery(caller: ReaderDep, delivery_id: str, backend: BackendDep) -> DeliveryView:
    """One event: how often it was sent, how the receiver answered, when it is sent next."""
    return DeliveryView.of(find_delivery(delivery_id, log=backend.deliveries, caller=caller))


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Send an event again",
    responses=problems({404: NotFound, 409: Conflict, 503: StorageError}),
)
def replay(caller: SubmitterDep, delivery_id: str, backend: BackendDep) -> DeliveryView:
    """Begins at the first attempt, at once, with the same `webhook-id` and body, and a signature of its own."""
    delivery = replay_delivery(
        delivery_id, caller=caller, log=backend.deliveries, queue=backend.queue, now=datetime.now(UTC)
    )
    return DeliveryView.of(delivery)


@router.post(
    "/test",
    status_code=202,
    summary="Send a test event",
    responses={
        202: {"description": "The delivery, pending", "headers": LOCATION_HEADER},
        **problems({422: ForbiddenUrl, 503: StorageError}),
    },
)
def send_test(
    caller: SubmitterDep, wanted: WebhookTestRequest, response: Response, backend: BackendDep, settings: SettingsDep
) -> DeliveryView:
    """A signed `webhook.test` event, sent once. Follow the delivery to see how the receiver answers."""
    delivery = send_test_event(
        Webhook(url=wanted.url, secret=wanted.secret),
        caller=caller,
        log=backend.deliveries,
        queue=backend.queue,
        outbound=backend.outbound,
        settings=settings,
        now=datetime.now(UTC),
    )
    response.headers["Location"] = f"{API_PREFIX}/webhooks/deliveries/{delivery.id}"
    return DeliveryView.of(delivery)

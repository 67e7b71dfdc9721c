"""The outbox in a database: SQLite and Postgres. Every change is one compare-and-set, as in core.repository_sql."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, delete, exists, select, text, update
from sqlalchemy.orm import Session

from core.database import read_session, write_session
from core.errors import Conflict, InvalidInput, NotFound
from core.ids import is_id, new_id
from core.jobs import Job
from core.webhooks.events import EventType, Webhook
from core.webhooks.outbox import Delivery, DeliveryPage, DeliveryStatus, Outcome
from core.webhooks.payload import event_of, job_payload
from core.webhooks.tables import DeliveryRow

_NO_SYNC = {"synchronize_session": False}  # sessions here live for one change: nothing to keep in step
_IS_OFF = "The receiver answered 410 Gone to an earlier event; replay that one to begin again."


def add_job_event(session: Session, job: Job, *, now: datetime) -> None:
    """Store the event of a job that ends in this very transaction, if the client wants to be told of it."""
    event = event_of(job.status)
    if job.webhook is None or event not in job.webhook.events:
        return
    payload = job_payload(event, job, now=now)
    add_event(
        session,
        event,
        job.webhook,
        payload,
        owner=job.owner,
        job_id=job.id,
        traceparent=job.traceparent,
        now=now,
    )


def add_event(
    session: Session,
    event: EventType,
    webhook: Webhook,
    payload: str,
    *,
    owner: str | None,
    now: datetime,
    job_id: str | None = None,
    batch_id: str | None = None,
    traceparent: str | None = None,
) -> None:
    """Store an event that comes true in this very transaction."""
    is_off = session.scalar(select(exists().where(_is_disabled(), DeliveryRow.url == webhook.url)))
    session.add(
        DeliveryRow(
            id=new_id(),
            job_id=job_id,
            batch_id=batch_id,
            owner=owner,
            event=event.value,
            url=webhook.url,
            secret=webhook.secret,
            traceparent=traceparent,
            payload=payload,
            status=(DeliveryStatus.DISABLED if is_off else DeliveryStatus.PENDING).value,
            created_at=now,
            next_attempt_at=None if is_off else now,
            last_error=_IS_OFF if is_off else None,
        )
    )


def delete_job_events(session: Session, job_id: str) -> None:
    """Remove what is known of a job that its client deletes in this very transaction."""
    session.execute(delete(DeliveryRow).where(DeliveryRow.job_id == job_id), execution_options=_NO_SYNC)


class SqlOutbox:
    """DeliveryLog and DeliveryQueue in a database. Share one per process; it may be used from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, delivery: Delivery) -> None:
        """Store a new delivery, due as it says."""
        with write_session(self._engine) as session:
            session.add(
                DeliveryRow(
                    id=delivery.id,
                    job_id=delivery.job_id,
                    batch_id=delivery.batch_id,
                    owner=delivery.owner,
                    event=delivery.event.value,
                    url=delivery.url,
                    secret=delivery.secret,
                    traceparent=delivery.traceparent,
                    payload=delivery.payload,
                    status=delivery.status.value,
                    created_at=delivery.created_at,
                    next_attempt_at=delivery.next_attempt_at,
                )
            )

    def get(self, delivery_id: str) -> Delivery:
        """The delivery; NotFound when there is none of this id."""
        with read_session(self._engine) as session:
            return _load(session, delivery_id)

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
        """A page of at most `limit` deliveries, newest first; InvalidInput for a cursor that no page gave."""
        query = select(DeliveryRow).order_by(DeliveryRow.id.desc()).limit(limit + 1)
        if owner is not None:
            query = query.where(DeliveryRow.owner == owner)
        if job_id is not None:
            query = query.where(DeliveryRow.job_id == job_id)
        if batch_id is not None:
            query = query.where(DeliveryRow.batch_id == batch_id)
        if status is not None:
            query = query.where(DeliveryRow.status == status.value)
        if cursor is not None:
            if not is_id(cursor):
                raise InvalidInput("The cursor is not one that a page of deliveries gave.")
            query = query.where(DeliveryRow.id < cursor)
        with read_session(self._engine) as session:
            deliveries = [_delivery_of(row) for row in session.scalars(query)]
        page = deliveries[:limit]
        return DeliveryPage(deliveries=page, next_cursor=page[-1].id if len(deliveries) > limit else None)

    def replay(self, delivery_id: str, *, now: datetime) -> Delivery:
        """Begin again from the first attempt; Conflict when it is pending."""
        with write_session(self._engine) as session:
            _load(session, delivery_id)
            is_replayed = _update(
                session,
                DeliveryRow.id == delivery_id,
                ~_is_pending(),
                status=DeliveryStatus.PENDING.value,
                attempts=0,
                next_attempt_at=now,
                lease_token=None,
            )
            delivery = _load(session, delivery_id)
        if not is_replayed:
            raise Conflict("The delivery is pending: it is sent without a replay.")
        return delivery

    def has_due(self, *, now: datetime) -> bool:
        """True when a delivery waits that may be sent now."""
        with read_session(self._engine) as session:
            return bool(session.scalar(select(exists().where(_is_due(now)))))

    def claim_due(self, *, lease_s: float, now: datetime) -> Delivery | None:
        """The delivery that goes first, under a fresh lease; None when nothing is due."""
        first = (
            select(DeliveryRow.id)
            .where(_is_due(now))
            .order_by(DeliveryRow.attempts, DeliveryRow.next_attempt_at)
            .limit(1)
            # Postgres: workers that claim at once each get another row. SQLite has one writer at a time anyway.
            .with_for_update(skip_locked=True)
        )
        with write_session(self._engine) as session:
            delivery_id = session.scalar(first)
            if delivery_id is None:
                return None
            _update(
                session,
                DeliveryRow.id == delivery_id,
                attempts=DeliveryRow.attempts + 1,
                last_attempt_at=now,
                next_attempt_at=now + timedelta(seconds=lease_s),
                lease_token=uuid4().hex,
            )
            return _load(session, delivery_id)

    def record(self, delivery: Delivery, outcome: Outcome, *, now: datetime) -> bool:
        """Note the outcome of a claimed delivery's attempt; False when its lease has passed to another worker."""
        retry_at = None if outcome.retry_in_s is None else now + timedelta(seconds=outcome.retry_in_s)
        is_same_url = DeliveryRow.url == delivery.url
        with write_session(self._engine) as session:
            is_recorded = _update(
                session,
                DeliveryRow.id == delivery.id,
                DeliveryRow.lease_token == delivery.lease_token,
                _is_pending(),
                status=outcome.status.value,
                next_attempt_at=retry_at,
                last_status=outcome.http_status,
                last_error=outcome.error,
                lease_token=None,
            )
            if is_recorded and outcome.status is DeliveryStatus.DISABLED:
                off = {"status": DeliveryStatus.DISABLED.value, "next_attempt_at": None, "last_error": _IS_OFF}
                _update(session, is_same_url, _is_pending(), **off)
            if is_recorded and outcome.status is DeliveryStatus.DELIVERED:
                _update(session, is_same_url, _is_disabled(), status=DeliveryStatus.FAILED.value)
        return is_recorded

    def purge(self, *, before: datetime) -> int:
        """Delete the deliveries that ended and were created before this time; how many."""
        is_old = DeliveryRow.created_at < before
        # A URL that is off stays off: the row that says so is kept.
        statement = delete(DeliveryRow).where(is_old, ~_is_pending(), ~_is_disabled()).returning(DeliveryRow.id)
        with write_session(self._engine) as session:
            return len(session.scalars(statement, execution_options=_NO_SYNC).all())


# SQL conditions are typed as Any: SQLAlchemy's own types for them say nothing that a reader needs.
def _is_pending() -> Any:  # noqa: ANN401
    # A literal, so that Postgres uses the partial indices in prepared statements too.
    return DeliveryRow.status == text("'pending'")


def _is_disabled() -> Any:  # noqa: ANN401
    return DeliveryRow.status == text("'disabled'")


def _is_due(now: datetime) -> Any:  # noqa: ANN401
    return _is_pending() & (DeliveryRow.next_attempt_at <= now)


def _update(session: Session, *conditions: Any, **columns: Any) -> bool:  # noqa: ANN401
    """One compare-and-set; True when it changed a row."""
    statement = update(DeliveryRow).where(*conditions).values(**columns).returning(DeliveryRow.id)
    return bool(session.scalars(statement, execution_options=_NO_SYNC).all())


def _load(session: Session, delivery_id: str) -> Delivery:
    row = session.get(DeliveryRow, delivery_id, populate_existing=True) if is_id(delivery_id) else None
    if row is None:
        raise NotFound("There is no such delivery.")
    return _delivery_of(row)


def _delivery_of(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        event=EventType(row.event),
        url=row.url,
        payload=row.payload,
        created_at=row.created_at,
        job_id=row.job_id,
        batch_id=row.batch_id,
        owner=row.owner,
        secret=row.secret,
        traceparent=row.traceparent,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_attempt_at=row.last_attempt_at,
        last_status=row.last_status,
        last_error=row.last_error,
        lease_token=row.lease_token,
    )

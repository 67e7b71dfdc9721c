"""WorkerRegistry and QueueStates on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from core.database import read_session, write_session
from core.fleet.queue_state import LIVE_S, QueueState
from core.fleet.tables import WorkerRow
from core.job_conditions import is_held, is_queued
from core.jobs import Device, Lane
from core.queue import job_queue_name
from core.tables import JobRow
from core.turns_sql import runnable_heads


class SqlFleet:
    """Worker processes in a database. Share one per process; it may be used from many threads.

    `key_max_running` is the limit of core.access.limits: the jobs that it holds back wait for no worker.
    """

    def __init__(self, engine: Engine, *, key_max_running: int | None = None) -> None:
        self._engine = engine
        self._key_max_running = key_max_running

    def beat(
        self,
        name: str,
        *,
        queues: Sequence[str],
        idle_since: datetime | None,
        now: datetime,
        models: Sequence[str] | None = None,
    ) -> None:
        """Note that the process is there."""
        news: dict[str, Any] = {
            "queues": [*queues],
            "models": None if models is None else [*models],
            "seen_at": now,
            "idle_since": idle_since,
        }
        known = update(WorkerRow).where(WorkerRow.name == name).values(**news).returning(WorkerRow.name)
        with write_session(self._engine) as session:
            if session.scalar(known) is None:
                session.add(WorkerRow(name=name, started_at=now, **news))

    def forget(self, name: str) -> None:
        """Note that the process ends."""
        with write_session(self._engine) as session:
            session.execute(delete(WorkerRow).where(WorkerRow.name == name))

    def purge(self, *, before: datetime) -> int:
        """Forget the processes that were last seen before this time; how many."""
        gone = delete(WorkerRow).where(WorkerRow.seen_at < before).returning(WorkerRow.name)
        with write_session(self._engine) as session:
            return len(session.scalars(gone).all())

    def models(self, device: Device, *, now: datetime) -> frozenset[str] | None:
        """Names of the models that each of the live processes has that take jobs for `device`; None without one."""
        served = {job_queue_name(device, lane) for lane in Lane}
        with read_session(self._engine) as session:
            live = _live(session, now)
        told = [frozenset(worker.models) for worker in live if worker.models is not None and served & {*worker.queues}]
        return frozenset.intersection(*told) if told else None

    def states(self, *, now: datetime) -> Sequence[QueueState]:
        """Every queue of jobs. A handful of queries, each answered by an index, however long the queues are."""
        with read_session(self._engine) as session:
            waiting, running = _counts(session, is_queued()), _counts(session, is_held())
            live = _live(session, now)
            return [
                self._state(session, device, lane, waiting=waiting, running=running, live=live, now=now)
                for device in Device
                for lane in Lane
            ]

    def _state(
        self,
        session: Session,
        device: Device,
        lane: Lane,
        *,
        waiting: Mapping[tuple[str, str], int],
        running: Mapping[tuple[str, str], int],
        live: Sequence[WorkerRow],
        now: datetime,
    ) -> QueueState:
        key = (device.value, lane.value)
        serving = [worker for worker in live if job_queue_name(device, lane) in worker.queues]
        idle = [worker.idle_since for worker in serving if worker.idle_since is not None]
        return QueueState(
            device=device,
            lane=lane,
            waiting=waiting.get(key, 0),
            waiting_since=self._waiting_since(session, device, lane, now=now) if waiting.get(key) else None,
            running=running.get(key, 0),
            workers=len(serving),
            idle_since=min(idle, default=None),
        )

    def _waiting_since(self, session: Session, device: Device, lane: Lane, *, now: datetime) -> datetime | None:
        heads = runnable_heads(session, device, lane, key_max_running=self._key_max_running, now=now)
        queued_at = func.coalesce(JobRow.queued_at, JobRow.created_at)
        return session.scalar(select(func.min(queued_at)).where(JobRow.id.in_(heads)))


def _live(session: Session, now: datetime) -> Sequence[WorkerRow]:
    return session.scalars(select(WorkerRow).where(WorkerRow.seen_at > now - timedelta(seconds=LIVE_S))).all()


def _counts(session: Session, condition: Any) -> Mapping[tuple[str, str], int]:  # noqa: ANN401 - a SQL condition
    query = select(JobRow.device, JobRow.lane, func.count()).where(condition).group_by(JobRow.device, JobRow.lane)
    return {(device, lane): count for device, lane, count in session.execute(query)}

"""The turns of a queue, read from the jobs' rows: SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CTE, Subquery, case, func, select, update
from sqlalchemy.orm import Session, aliased

from core.job_conditions import is_held, is_in_queue, is_put_off, is_queued
from core.jobs import Device, Job, Lane
from core.run_policy import limited_delay_s
from core.tables import JobRow
from core.turns import Share, Turn, next_turn, position


def next_in_queue_of(session: Session, job_id: str, *, key_max_running: int | None, now: datetime) -> str | None:
    """The id of the job that is to run now in the queue of `job_id`; None when none may.

    When API keys have enough jobs running, the message that asked is used up for nothing: then one waiting job, that
    of `job_id` if it still waits, is sent again soon.
    """
    queue = session.execute(select(JobRow.device, JobRow.lane).where(JobRow.id == job_id)).one_or_none()
    if queue is None:
        return None
    turns = _turns(session, Device(queue.device), Lane(queue.lane), now=now)
    turn = next_turn(turns, key_max_running=key_max_running)
    if turn is not None:
        return turn.job_id
    if turns:
        _send_again(session, job_id, turns, now=now)
    return None


def runnable_heads(
    session: Session, device: Device, lane: Lane, *, key_max_running: int | None, now: datetime
) -> Sequence[str]:
    """The ids of the jobs that may run now, each the first of its owner's in the queue."""
    turns = _turns(session, device, lane, now=now)
    return [turn.job_id for turn in turns if not turn.is_held_back(key_max_running)]


def position_in_queue(session: Session, job: Job) -> int:
    """Queued jobs that are to run before this queued one (core.turns.position); counts in the index of its queue."""
    older = func.sum(case((JobRow.id < job.id, 1), else_=0))
    waiting = (
        select(JobRow.owner, func.count().label("waiting"), older.label("older"))
        .where(is_queued(), is_in_queue(job.device, job.lane))
        .group_by(JobRow.owner)
        .subquery("waiting")
    )
    held = _held_by_owner(job.device, job.lane)
    query = select(waiting, func.coalesce(held.c.running_here, 0)).outerjoin(
        held, held.c.owner.is_not_distinct_from(waiting.c.owner)
    )
    shares = {
        owner: Share(waiting=count, waiting_before=before, running=running)
        for owner, count, before, running in session.execute(query)
    }
    own = shares.pop(job.owner, None)  # None: it has just been taken
    return 0 if own is None else position(own, [*shares.values()])


def _turns(session: Session, device: Device, lane: Lane, *, now: datetime) -> Sequence[Turn]:
    here = is_in_queue(device, lane)
    owners = _owners_waiting(device, lane)
    first = aliased(JobRow)
    # Each of these is one step in an index, however long the queue and the history.
    head = (
        select(first.id)
        .where(first.owner == owners.c.owner, *_waits(first, device, lane, now))
        .order_by(first.id)
        .limit(1)
        .scalar_subquery()
    )
    found = [*session.execute(select(owners.c.owner, head).where(owners.c.owner.is_not(None)))]
    ownerless = select(JobRow.id).where(JobRow.owner.is_(None), *_waits(JobRow, device, lane, now))
    found.append((None, session.scalar(ownerless.order_by(JobRow.id).limit(1))))
    heads = {owner: job_id for owner, job_id in found if job_id is not None}
    if len(heads) == 1 and None in heads:
        return [Turn(job_id=heads[None], owner=None)]
    held = {row.owner: row for row in session.execute(select(_held_by_owner(device, lane)))}
    return [
        Turn(
            job_id=job_id,
            owner=owner,
            running=held[owner].running if owner in held else 0,
            running_here=held[owner].running_here if owner in held else 0,
            last_started_at=_last_started_at(session, owner, job_id, here),
        )
        for owner, job_id in heads.items()
    ]


def _owners_waiting(device: Device, lane: Lane) -> CTE:
    """The API keys with jobs in the queue, and a last row that is NULL: from each to the next in the index.

    DISTINCT would read every entry of the queue.
    """
    first = select(func.min(JobRow.owner).label("owner")).where(is_queued(), is_in_queue(device, lane))
    owners = first.cte("owners", recursive=True)
    row = aliased(JobRow)
    following = select(func.min(row.owner)).where(
        is_queued(row), is_in_queue(device, lane, row), row.owner > owners.c.owner
    )
    return owners.union_all(select(following.scalar_subquery()).where(owners.c.owner.is_not(None)))


def _waits(row: Any, device: Device, lane: Lane, now: datetime) -> Sequence[Any]:  # noqa: ANN401 - JobRow or its alias
    return is_queued(row), is_in_queue(device, lane, row), ~is_put_off(now, row)


def _last_started_at(session: Session, owner: str | None, job_id: str, here: Any) -> datetime | None:  # noqa: ANN401
    # An owner's jobs are begun in their order: the newest one before its oldest waiting was begun last. For jobs
    # without an owner there is no index of that order; they wait beside others only after auth was turned on.
    if owner is None:
        return None
    begun = select(JobRow.started_at).where(JobRow.owner == owner, JobRow.id <= job_id, JobRow.started_at.is_not(None))
    return session.scalar(begun.where(here).order_by(JobRow.id.desc()).limit(1))


def _held_by_owner(device: Device, lane: Lane) -> Subquery:
    """How many jobs of each owner workers have: in all queues, and in this one."""
    running_here = func.sum(case((is_in_queue(device, lane), 1), else_=0))
    return (
        select(JobRow.owner, func.count().label("running"), running_here.label("running_here"))
        .where(is_held())
        .group_by(JobRow.owner)
        .subquery("held")
    )


def _send_again(session: Session, job_id: str, turns: Sequence[Turn], *, now: datetime) -> None:
    owner = session.execute(
        select(JobRow.owner).where(JobRow.id == job_id, is_queued(), ~is_put_off(now))
    ).scalar_one_or_none()
    if owner is None:
        oldest = min(turns, key=lambda turn: turn.job_id)
        job_id, owner = oldest.job_id, oldest.owner
    ahead = session.scalar(select(func.count()).where(JobRow.owner == owner, is_queued(), JobRow.id < job_id)) or 0
    columns: dict[str, Any] = {"sends": 0, "send_due_at": now + timedelta(seconds=limited_delay_s(ahead))}
    session.execute(
        update(JobRow).where(JobRow.id == job_id, is_queued()).values(**columns),
        execution_options={"synchronize_session": False},
    )

"""QueueLoads on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy import Engine, func, select

from core.database import read_session
from core.estimation.queue_load import QueueLoad, WaitingJobs
from core.fleet.queue_state import LIVE_S
from core.fleet.tables import WorkerRow
from core.job_conditions import is_held, is_queued
from core.jobs import Device, Lane
from core.queue import job_queue_name
from core.tables import JobRow


class SqlQueueLoads:
    """Looks at the jobs and workers in a database. Share one per process; it may be used from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, device: Device, *, now: datetime) -> QueueLoad:
        """What the device's workers have before them; reads every waiting row, so keep the answer for a while."""
        is_here = JobRow.device == device.value
        duration_s = JobRow.input_duration_s
        waiting_query = (
            select(JobRow.lane, JobRow.preset, func.count(), func.count(duration_s), func.sum(duration_s))
            .where(is_queued(), is_here)
            .group_by(JobRow.lane, JobRow.preset)
            .order_by(JobRow.lane, JobRow.preset)
        )
        running_query = select(func.count(), func.sum(JobRow.progress_eta_s)).where(is_held(), is_here)
        live_query = select(WorkerRow.queues).where(WorkerRow.seen_at > now - timedelta(seconds=LIVE_S))
        with read_session(self._engine) as session:
            waiting: dict[Lane, list[WaitingJobs]] = defaultdict(list)
            for lane, preset, count, measured, audio_s in session.execute(waiting_query):
                jobs = WaitingJobs(preset=preset, count=count, measured=measured, audio_s=audio_s or 0.0)
                waiting[Lane(lane)].append(jobs)
            running, running_left_s = session.execute(running_query).one()
            live = session.scalars(live_query).all()
        return QueueLoad(
            workers={lane: sum(job_queue_name(device, lane) in queues for queues in live) for lane in Lane},
            running=running,
            running_left_s=running_left_s or 0.0,
            waiting=dict(waiting),
        )

"""The sweep: heals what crashes left behind (DESIGN section 4). Safe to run from many processes at once."""

from __future__ import annotations

import logging
from datetime import datetime

from core.errors import QueueError
from core.fleet.queue_state import QueueStates
from core.queue import JobQueue
from core.repository import RunRepository
from core.storage import ObjectStore
from worker.observer import WorkerObserver
from worker.outputs import delete_attempts

logger = logging.getLogger(__name__)


def replace_lost_messages(
    runs: RunRepository, states: QueueStates, queue: JobQueue, *, older_than_s: float, now: datetime
) -> int:
    """Make due what waits in queues whose messages are gone; how many jobs. The next sweep sends them.

    Where jobs wait there is a message, or somebody flushed the broker. Without this, the jobs that have waited for
    longest would go on doing so for longest: the delay before their next message has grown up to an hour. A broker that
    does not answer is no error.
    """
    made_due = 0
    for state in states.states(now=now):
        if state.oldest_age_s(now=now) < older_than_s:
            continue
        try:
            has_messages = queue.count_messages(device=state.device, lane=state.lane) > 0
        except QueueError:
            logger.warning("broker_does_not_count_messages", exc_info=True)
            break
        if not has_messages:
            made_due += runs.make_due(state.device, state.lane, now=now)
            logger.warning("messages_lost", extra={"queue": state.name, "waiting": state.waiting})
    return made_due


def sweep(
    runs: RunRepository, queue: JobQueue, store: ObjectStore, *, now: datetime, observer: WorkerObserver | None = None
) -> int:
    """Heal expired leases, send the messages that are due, delete what dead runs stored; return how many were sent."""
    result = runs.sweep(now=now)
    for job in result.ended:
        logger.warning("job_ended_by_the_sweep", extra={"job_id": job.id, "status": job.status.value})
        delete_attempts(store, job.id, attempts=job.attempt)
    sent = 0
    for job in result.to_send:
        try:
            queue.send_job(job.id, device=job.device, lane=job.lane)
        except QueueError:
            # They stay due; the next sweep tries again.
            logger.warning(
                "broker_does_not_take_messages", extra={"waiting": len(result.to_send) - sent}, exc_info=True
            )
            break
        runs.mark_sent(job.id, now=now)
        sent += 1
    if sent:
        logger.info("messages_sent_by_the_sweep", extra={"sent": sent})
    if observer is not None:
        observer.swept(sent=sent, lost=len(result.ended))
    return sent

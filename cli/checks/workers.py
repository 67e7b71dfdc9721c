"""Is somebody there to do the work, and does it get done?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cli.checks.check import Check, bad, note, ok
from core.errors import StorageError
from core.jobs import Device

if TYPE_CHECKING:
    from core.fleet.queue_state import QueueState, QueueStates
    from core.settings import Settings


def check_workers(settings: Settings, fleet: QueueStates) -> Iterator[Check]:
    """The queues that new jobs go to, and those where jobs wait; nothing when the database cannot be asked."""
    now = datetime.now(UTC)
    try:
        queues = fleet.states(now=now)
    except StorageError:
        return  # said of the database already
    for queue in queues:
        if queue.device is Device(settings.device) or queue.waiting:
            yield _check_queue(queue, now)


def _check_queue(queue: QueueState, now: datetime) -> Check:
    name = f"queue {queue.name}"
    state = f"{queue.workers} worker processes, {queue.running} jobs run, {queue.waiting} wait"
    if queue.is_stalled(now=now):
        return bad(name, f"{state}: the workers are idle and do not take them; restart them, then see the broker")
    if queue.has_no_workers(now=now):
        return bad(name, f"{state}: start a worker with `limpid worker --queues {queue.name}`")
    if not queue.workers:
        return note(name, f"{state}; start a worker with `limpid worker`, or everything with `limpid up`")
    return ok(name, state)

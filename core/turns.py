"""Whose job is next in a queue: the pure rule by which API keys share a queue's workers (docs/adr/0013)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The oldest waiting job of one owner in a queue, and how much that owner has had."""

    job_id: str
    owner: str | None  # id of an API key; None: everybody who came without one, as one owner
    running: int = 0  # the owner's jobs that workers have, in all queues
    running_here: int = 0  # of these, in this queue
    last_started_at: datetime | None = None  # of the owner's earlier jobs in this queue; None: none has run

    def is_held_back(self, key_max_running: int | None) -> bool:
        """True when the owner's API key has as many jobs running as it may."""
        return key_max_running is not None and self.owner is not None and self.running >= key_max_running


def next_turn(turns: Iterable[Turn], *, key_max_running: int | None = None) -> Turn | None:
    """The turn that comes next; None when there is none, or when every owner is held back.

    Owners with the fewest jobs running in this queue come first; of these, who has waited longest since a job of
    theirs was begun (so that a single worker goes round too); of these, who has the oldest job.
    """
    runnable = [turn for turn in turns if not turn.is_held_back(key_max_running)]
    return min(
        runnable,
        key=lambda turn: (turn.running_here, turn.last_started_at or _NEVER, turn.job_id),
        default=None,
    )


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one owner has in a queue, seen from one waiting job."""

    waiting: int  # jobs
    waiting_before: int  # of these, older than that job
    running: int = 0


def position(own: Share, others: Sequence[Share]) -> int:
    """Jobs that are to run before the job that the shares were seen from, if no job comes and no run ends.

    Each owner's n-th waiting job counts as if its earlier ones ran already: first a job of everybody who has the fewest
    running, then of everybody again. Among equals the older job is first. Limits and delays are left out.
    """
    running_then = own.running + own.waiting_before
    ahead = own.waiting_before
    for other in others:
        before_round = max(0, running_then - other.running)
        ahead += min(other.waiting, before_round)
        if running_then >= other.running and other.waiting_before > before_round:
            ahead += 1
    return ahead

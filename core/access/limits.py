"""What one API key may use: jobs at a time, jobs waiting, bytes a day. Pure; the counting is core.access.usage_sql.

Without authentication nobody is counted: there is one person, and the machine is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from core.errors import LimitReached

DAY_S = 86_400
QUEUE_RETRY_S = 10
"""A key whose queue is full may try again after this long; when a place is free nobody knows."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of every API key; None: none.

    `running` delays jobs (RunRepository.claim); the others refuse them.
    """

    running: int | None = None
    queued: int | None = None
    bytes_per_day: int | None = None

    @property
    def refuse(self) -> bool:
        """True when a submission can be refused."""
        return self.queued is not None or self.bytes_per_day is not None


NO_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a key uses now."""

    queued: int = 0
    bytes_last_day: int = 0  # of the recordings of the jobs that were submitted in the last 24 hours
    oldest_at: datetime | None = None  # when the first of these was


class UsageRepository(Protocol):
    """Counts what keys use."""

    def usage(self, owner: str, *, now: datetime) -> Usage: ...


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How much of one limit is left."""

    name: str
    quota: int
    remaining: int
    reset_s: int | None = None  # until something becomes free again; None: unknown
    window_s: int | None = None
    unit: str | None = None


def standings(limits: Limits, usage: Usage, *, now: datetime) -> Sequence[Standing]:
    """What is left of each limit that refuses."""
    found = []
    if limits.queued is not None:
        found.append(Standing(name="queued", quota=limits.queued, remaining=max(0, limits.queued - usage.queued)))
    if limits.bytes_per_day is not None:
        found.append(
            Standing(
                name="bytes",
                quota=limits.bytes_per_day,
                remaining=max(0, limits.bytes_per_day - usage.bytes_last_day),
                reset_s=_reset_s(usage, now),
                window_s=DAY_S,
                unit="content-bytes",
            )
        )
    return found


def check_limits(limits: Limits, usage: Usage, *, size_bytes: int, now: datetime) -> None:
    """LimitReached when one more job, of `size_bytes`, would be too much."""
    left = standings(limits, usage, now=now)
    if limits.queued is not None and usage.queued >= limits.queued:
        raise LimitReached(
            f"{usage.queued} jobs of this API key are waiting; the limit is {limits.queued}.",
            retry_after_s=QUEUE_RETRY_S,
            standings=left,
        )
    if limits.bytes_per_day is not None and usage.bytes_last_day + size_bytes > limits.bytes_per_day:
        raise LimitReached(
            f"This API key has sent {usage.bytes_last_day} bytes in 24 hours; {size_bytes} more would pass the limit "
            f"of {limits.bytes_per_day}.",
            retry_after_s=_reset_s(usage, now),
            standings=left,
        )


def _reset_s(usage: Usage, now: datetime) -> int:
    if usage.oldest_at is None:
        return DAY_S
    return max(1, int((usage.oldest_at + timedelta(seconds=DAY_S) - now).total_seconds()) + 1)

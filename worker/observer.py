"""What a run tells whoever watches: the port that metrics plug into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from core.jobs import Job
from core.webhooks.outbox import Outcome


class RunOutcome(StrEnum):
    """How one run of a job ended; the job itself may have another run before it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # its worker shuts down: the job is queued again
    PUT_OFF = "put_off"  # a transient fault: the job is queued again, for later
    LEASE_LOST = "lease_lost"  # the job is another worker's now


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """What is known of a run when it has ended."""

    job: Job
    outcome: RunOutcome
    code: str | None = None  # of the error that failed the job
    report: Mapping[str, Any] | None = None  # of the pipeline, when it came to its end


class WorkerObserver(Protocol):
    """Is told what happens in a worker process. Must neither raise nor take long."""

    def run_started(self, job: Job, *, waited_s: float) -> None:
        """A run has begun, `waited_s` after its job could have run."""
        ...

    def run_ended(self, end: RunEnd) -> None: ...

    def model_loaded(self, name: str, *, device: str, duration_s: float) -> None: ...

    def webhook_attempted(self, outcome: Outcome, duration_s: float) -> None: ...

    def swept(self, *, sent: int, lost: int) -> None:
        """A sweep is through: it sent so many messages, and ended so many jobs whose worker was lost."""
        ...


class NobodyWatches:
    """A WorkerObserver for processes that nothing is measured in."""

    def run_started(self, job: Job, *, waited_s: float) -> None:
        return

    def run_ended(self, end: RunEnd) -> None:
        return

    def model_loaded(self, name: str, *, device: str, duration_s: float) -> None:
        return

    def webhook_attempted(self, outcome: Outcome, duration_s: float) -> None:
        return

    def swept(self, *, sent: int, lost: int) -> None:
        return

"""The port to the server that does the work, and what can go wrong with it, by what the watcher does then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core.errors import EnhancerError, TransientError
from core.jobs import JobStatus, Problem


class Refused(EnhancerError):
    """The server will never take this recording as it is: it has failed, with `problem`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class JobLost(EnhancerError):
    """The server no longer knows the job, or no longer has its results: it must be given the recording again."""


class ServiceUnavailable(TransientError):
    """The server does not answer, or takes nothing now; the same call may succeed later."""


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What the server says of a job. `problem` is why it failed."""

    status: JobStatus
    problem: Problem | None = None


class EnhancementService(Protocol):
    """A Limpid server, as the watcher needs it. Whatever else a call raises ends the watcher."""

    def submit(self, recording: Path, *, options: Mapping[str, Any], idempotency_key: str) -> str:
        """The id of the job that was made of the recording, or had been made under the same key.

        Refused, ServiceUnavailable, OSError.
        """
        ...

    def follow(self, job_id: str) -> JobState:
        """JobLost, ServiceUnavailable."""
        ...

    def fetch(self, job_id: str, folder: Path) -> Sequence[str]:
        """Put the results of a job that has succeeded into the folder, verified; their names.

        JobLost, ServiceUnavailable, OSError.
        """
        ...

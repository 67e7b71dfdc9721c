"""When a message is sent again, and when a job has been tried often enough: the pure rules of DESIGN section 4."""

from __future__ import annotations

from core.jobs import Job, Problem

SEND_GRACE_S = 5.0
"""A younger job is left to whoever is just submitting it; after that the sweeper sends its message."""

MAX_RESEND_DELAY_S = 3600.0

MAX_RETRY_DELAY_S = 300.0

WORKER_LOST = Problem(
    code="worker_lost",
    title="The worker was lost",
    detail="Every worker that took this job stopped before it was done. The file may need more memory than they have.",
)


def resend_delay_s(sends: int, *, base_s: float) -> float:
    """Seconds until the message of a job that still waits is sent again, after `sends` (1...) messages.

    Doubles each time (`base_s`, twice that, ... one hour), so that a merely long queue does not fill with copies.
    """
    return float(min(base_s * 2.0 ** min(sends - 1, 32), MAX_RESEND_DELAY_S))


def limited_delay_s(ahead: int) -> float:
    """Seconds until a job whose API key has enough jobs running is sent again, with `ahead` of the key's before it."""
    return 10.0 + ahead


def retry_delay_s(attempt: int) -> float:
    """Seconds to wait after a transient fault in attempt 1, 2, ...: 5, 10, 20, ... at most five minutes."""
    return float(min(5.0 * 2.0 ** min(attempt - 1, 32), MAX_RETRY_DELAY_S))


def is_out_of_attempts(job: Job, *, max_attempts: int) -> bool:
    """True when the job must not run again; attempts that a shutdown cut short do not count."""
    return job.attempt - job.uncounted_attempts >= max_attempts

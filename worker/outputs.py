"""Outputs that no job refers to: what attempts stored that did not end in success."""

from __future__ import annotations

import logging

from core.errors import TransientError
from core.object_keys import attempt_prefix
from core.storage import ObjectStore

logger = logging.getLogger(__name__)


def delete_attempts(store: ObjectStore, job_id: str, *, attempts: int) -> None:
    """Delete what attempts 1..`attempts` may have stored.

    A store that does not answer keeps it, until everything of the job is deleted: no reason to fail now.
    """
    for attempt in range(1, attempts + 1):
        try:
            store.delete_prefix(attempt_prefix(job_id, attempt))
        except TransientError:
            logger.warning("partial_outputs_not_deleted", extra={"job_id": job_id}, exc_info=True)
            return

"""A pipe that tells child processes that their supervisor is gone, even when it was killed and could not say so."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

GRACE_S = 15.0  # between the polite request to stop and the end of the process group


def stop_with_supervisor(fd: int, *, grace_s: float = GRACE_S) -> threading.Thread:
    """Watch the read end `fd` of the supervisor's pipe in a thread; when it closes, end this process and its group.

    The supervisor keeps the only write end and never writes, so a read returns exactly when the supervisor has ended,
    however it ended. The caller must lead its own process group, or the group would hold processes of others.
    """
    thread = threading.Thread(
        target=_end_group_after, args=(lambda: os.read(fd, 1),), kwargs={"grace_s": grace_s}, daemon=True
    )
    thread.start()
    return thread


def _end_group_after(wait: Callable[[], object], *, grace_s: float) -> None:
    wait()
    logger.warning("supervisor_gone")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)  # a process that stops in time takes this daemon thread with it
    os.killpg(os.getpgrp(), signal.SIGKILL)

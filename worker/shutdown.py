"""How a worker's processes learn that it is shutting down."""

from __future__ import annotations

import mmap
import os
import select
import threading
import time
from collections.abc import Callable

PARENT_POLL_S = 1.0


class ShutdownFlag:
    """One byte of memory that the parent shares with every process forked later. Set once, never cleared.

    A plain byte and no lock: it may be set in a signal handler, and no process that dies can leave it held.
    """

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Ask every run to stop at its next segment."""
        self._byte[0] = 1

    def is_set(self) -> bool:
        """True from `set` on, in every process."""
        return self._byte[0] == 1


def when_parent_dies(act: Callable[[], None]) -> threading.Thread:
    """Call `act` in a daemon thread as soon as the process that started this one has ended, however it ended."""
    parent = os.getppid()
    thread = threading.Thread(target=_wait_and_act, args=(parent, act), name="parent-watch", daemon=True)
    thread.start()
    return thread


def _wait_and_act(parent: int, act: Callable[[], None]) -> None:
    if hasattr(os, "pidfd_open"):
        try:
            parent_fd = os.pidfd_open(parent)
        except ProcessLookupError:
            act()
            return
        select.select([parent_fd], [], [])
        os.close(parent_fd)
    else:
        # macOS tells nobody about another process's end except by asking.
        while os.getppid() == parent:
            time.sleep(PARENT_POLL_S)
    act()

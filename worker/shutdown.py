"""How a worker's processes learn that it is shutting down."""

from __future__ import annotations

import mmap
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


@contextmanager
def deferred_sigterm(on_signal: Callable[[], None], *, is_parent_stopping: Callable[[], bool]) -> Iterator[None]:
    """While this lasts, SIGTERM calls `on_signal` instead of ending the process; at the end it raises SystemExit.

    Unless `is_parent_stopping`: a pool that stops lets its children go by itself.

    For a pool's child, which is signalled beside its parent when a whole process group is stopped: what it is doing can
    be given back in order. Billiard reports a task that ends by SystemExit, and only then lets the child go; of a child
    that ends by the signal its parent hears nothing, and waits for ever. Outside the main thread, where no signal
    arrives, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived = False

    def note(_number: int, _frame: object) -> None:
        nonlocal arrived
        arrived = True
        on_signal()

    previous = signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
        if arrived and not is_parent_stopping():
            raise SystemExit(0)


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

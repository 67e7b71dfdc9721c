"""The pool of forked processes for brokers without an event loop: killing one of them does not stop the others.

Where the broker has one (Redis), Celery gives every process a pipe of its own. Without one (the embedded broker) they
share billiard's pipe of tasks, and one of them waits at it with its lock in hand. Billiard's lock is a semaphore: when
that process is killed, nobody gives it back, no process ever takes a task again, and the worker cannot even stop.
"""

from __future__ import annotations

import fcntl
import tempfile

from billiard.pool import Pool
from celery.concurrency import prefork


class ProcessLock:
    """A lock between the processes forked after it, which the kernel gives back when its holder dies.

    A POSIX record lock belongs to the process: threads of one process do not exclude each other by it.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the lock

    def acquire(self) -> None:
        """Wait until no other process holds the lock, and take it."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        """Give the lock back."""
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class SharedPipePool(Pool):  # type: ignore[misc]
    """Billiard's pool, whose processes lock their pipes so that none can take a lock into its grave."""

    def _setup_queues(self) -> None:
        super()._setup_queues()
        self._inqueue._rlock = ProcessLock()
        self._outqueue._wlock = ProcessLock()


class ForkPool(prefork.TaskPool):  # type: ignore[misc]
    """Celery's prefork pool."""

    BlockingPool = SharedPipePool

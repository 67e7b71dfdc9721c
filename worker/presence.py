"""A worker process says in the database that it is there, and since when it has had nothing to do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from core.errors import TransientError
from core.fleet.queue_state import BEAT_INTERVAL_S, WorkerRegistry
from worker.lease import utc_now

logger = logging.getLogger(__name__)


class Presence:
    """Beats in a daemon thread from `start` to `stop`. Each process that takes tasks has its own.

    A database that does not answer is no error: the process counts as gone until it answers again. What is wrong is
    logged when it begins, changes or ends, not at every beat.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        *,
        name: str,
        queues: Sequence[str],
        find_models: Callable[[], Sequence[str]] | None = None,
        interval_s: float = BEAT_INTERVAL_S,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._registry = registry
        self._name, self._queues = name, tuple(queues)
        self._find_models = find_models  # asked at each beat: the operator may install one at any time
        self._interval_s, self._clock = interval_s, clock
        self._idle_since: datetime | None = clock()
        self._trouble: str | None = None  # what is wrong since the last beat that was taken
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="presence", daemon=True)

    def start(self) -> None:
        """Beat now, and every `interval_s` from now on."""
        self._thread.start()

    @contextmanager
    def task(self) -> Iterator[None]:
        """The process is busy while this lasts."""
        self._idle_since = None
        try:
            yield
        finally:
            self._idle_since = self._clock()

    def stop(self) -> None:
        """Say that the process ends; nothing when it has never begun."""
        if self._has_ended.is_set() or not self._thread.is_alive():
            return
        self._has_ended.set()
        self._thread.join()
        try:
            self._registry.forget(self._name)
        except TransientError as error:
            logger.warning("worker_not_forgotten", extra={"worker": self._name, "reason": error.detail})

    def _keep_beating(self) -> None:
        while True:
            try:
                self._registry.beat(
                    self._name,
                    queues=self._queues,
                    idle_since=self._idle_since,
                    now=self._clock(),
                    models=None if self._find_models is None else self._find_models(),
                )
            except TransientError as error:
                self._note_trouble(error.detail)
            except Exception as error:
                # Whatever is wrong may pass, and nothing but this thread would notice that it had ended.
                self._note_trouble(repr(error), cause=error)
            else:
                self._note_trouble(None)
            if self._has_ended.wait(self._interval_s):
                return

    def _note_trouble(self, trouble: str | None, *, cause: Exception | None = None) -> None:
        """Log `trouble` unless the beat before had the same; None: the beat was taken."""
        before, self._trouble = self._trouble, trouble
        if trouble == before:
            return
        if trouble is None:
            logger.info("beat_taken_again", extra={"worker": self._name})
        else:
            logger.warning("beat_failed", extra={"worker": self._name, "reason": trouble}, exc_info=cause)

"""Keeps child processes running: restarts what dies, and leaves nothing behind when it stops."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from cli.process_group import ProcessGroup, describe_status

logger = logging.getLogger(__name__)

STOP_GRACE_S = 15.0  # a worker gives its job back within this; then it is killed
TICK_INTERVAL_S = 0.2
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 5.0  # jobs wait for the workers; a child that cannot start costs little at this rate
STEADY_AFTER_S = 60.0  # a child that lived this long starts again without the delay that earlier deaths built up
LOG_LIMIT_BYTES = 10 * 1024**2  # a log longer than this becomes <name>.log.1 when its child starts

CommandFactory = Callable[[int], Sequence[str]]
"""Makes a command line from the file descriptor that tells the child when its supervisor has ended (cli.liveness)."""


@dataclass(kw_only=True)
class Child:
    """One supervised command."""

    name: str
    command: CommandFactory
    log_path: Path
    group: ProcessGroup | None = None  # None while it is down
    started_at: float = 0.0
    restart_at: float = 0.0
    delay_s: float = FIRST_DELAY_S


class Supervisor:
    """Starts children, restarts those that end, and stops all. A context manager: leaving it stops every child.

    `announce` receives one line for the person at the terminal whenever a child ends or comes back. `clock` is in
    seconds. `environment` is the children's, None for this process's own. Children that outlive a killed supervisor see
    their pipe close and end by themselves.
    """

    def __init__(
        self,
        logs_dir: Path,
        *,
        announce: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        stop_grace_s: float = STOP_GRACE_S,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._logs_dir = logs_dir
        self._announce = announce
        self._clock = clock
        self._stop_grace_s = stop_grace_s
        self._environment = environment
        self._children: list[Child] = []
        self._read_fd, self._write_fd = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def children(self) -> Sequence[Child]:
        """The children, in the order in which they were started."""
        return tuple(self._children)

    def start(self, name: str, *, command: CommandFactory) -> Child:
        """Start a child; its output is appended to `<logs_dir>/<name>.log`."""
        self._logs_dir.mkdir(parents=True, exist_ok=True)
        child = Child(name=name, command=command, log_path=self._logs_dir / f"{name}.log")
        self._children.append(child)
        self._spawn(child)
        return child

    def run(self, stop: Event) -> None:
        """Restart children as they end, until `stop` is set."""
        while not stop.wait(TICK_INTERVAL_S):
            self.tick()

    def tick(self) -> None:
        """Look at every child once: note which have ended, start those whose delay has passed."""
        for child in self._children:
            if child.group is None:
                if self._clock() >= child.restart_at:
                    self._spawn(child)
                    self._announce(f"{child.name} runs again.")
            elif child.group.has_ended:
                self._plan_restart(child, status=child.group.close())

    def stop(self) -> None:
        """Ask every child to stop, wait for the grace period, then kill what is left of their process groups."""
        running = [(child, child.group) for child in self._children if child.group is not None]
        for _, group in running:
            group.terminate()
        deadline = time.monotonic() + self._stop_grace_s
        for child, group in running:
            if not group.wait(max(0.0, deadline - time.monotonic())):
                logger.warning("child_killed", extra={"child": child.name})
            group.close()
            child.group = None
        self._children.clear()
        if self._write_fd >= 0:
            os.close(self._read_fd)
            os.close(self._write_fd)
            self._read_fd = self._write_fd = -1

    def _spawn(self, child: Child) -> None:
        if child.log_path.exists() and child.log_path.stat().st_size > LOG_LIMIT_BYTES:
            child.log_path.replace(child.log_path.with_suffix(".log.1"))
        child.group = ProcessGroup(
            child.command(self._read_fd),
            log_path=child.log_path,
            pass_fds=(self._read_fd,),
            environment=self._environment,
        )
        child.started_at = self._clock()

    def _plan_restart(self, child: Child, *, status: int) -> None:
        now = self._clock()
        if now - child.started_at >= STEADY_AFTER_S:
            child.delay_s = FIRST_DELAY_S
        child.group = None
        child.restart_at = now + child.delay_s
        self._announce(
            f"{child.name} {describe_status(status)}; it starts again in {child.delay_s:g} s. Log: {child.log_path}"
        )
        child.delay_s = min(2 * child.delay_s, LONGEST_DELAY_S)

"""One child process and everything that it starts, as a unit that can be stopped without leaving orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

POLL_INTERVAL_S = 0.05


class ProcessGroup:
    """A command that leads a session of its own, so that Ctrl-C at the terminal does not reach it.

    The leader is reaped only by `close`: until then its process id cannot be taken by another process, which makes
    signals to the group safe.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_path: Path,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,  # None: this process's own
    ) -> None:
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
                env=environment,
            )

    @property
    def pid(self) -> int:
        """Process id of the leader, which is the group's id too."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True when the leader has ended; others of its group may still run."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def terminate(self) -> None:
        """Ask the leader to stop. It tells the processes that it started."""
        if not self.has_ended:
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the leader's end; False when it still runs after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.has_ended:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_INTERVAL_S)
        return True

    def close(self) -> int:
        """Kill what is left of the group and return the leader's status: its exit code, or minus a signal's number."""
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        return self._process.returncode


def describe_status(status: int) -> str:
    """How a process ended, in words: "ended with status 3", "was killed by SIGKILL"."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"

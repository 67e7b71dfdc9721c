"""Processes of a stack under attack: found, killed, and started again at once, as an orchestrator does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT_S = 40.0


@dataclass(kw_only=True)
class Command:
    """`limpid ARGUMENTS`, kept running by whoever calls `restart`. Its output is appended to `log`."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    _process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    @property
    def pid(self) -> int:
        """Process id of the one that runs now."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True when it is down."""
        return self._process.poll() is not None

    def start(self) -> None:
        """Start it in a process group of its own."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *self.arguments],
                cwd=ROOT,
                env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to it alone, and wait for its end; what it had started must find that out by itself."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to the group when it does not stop in time."""
        if self.has_ended:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def descendants_of(pid: int) -> dict[int, str]:
    """Process id -> command line of every process below `pid`."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (parent := _parent_of(int(folder.name))) is not None:
            parents[int(folder.name)] = parent
    found: dict[int, str] = {}
    pending = [pid]
    while pending:
        above = pending.pop()
        below = [child for child, parent in parents.items() if parent == above]
        found |= {child: _command_line(child) for child in below}
        pending += below
    return found


def _parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""

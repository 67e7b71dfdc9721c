"""Runs `limpid up` as a person does, and looks at its processes from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_TIMEOUT_S = 150.0
STOP_TIMEOUT_S = 40.0
JOB_TIMEOUT_S = 120.0

LIMPID = (sys.executable, "-m", "cli.main")


def run_limpid(*arguments: str | Path, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [*LIMPID, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def wait_until(condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Return as soon as `condition` holds; fail the test, saying `what`, when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.05)


@dataclass(kw_only=True)
class RunningStack:
    """A `limpid up` process."""

    process: subprocess.Popen[str]
    url: str
    data_dir: Path
    errors: list[str] = field(default_factory=list)  # lines of its standard error so far

    def stop(self, stop_signal: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait for the end, return the exit status."""
        self.process.send_signal(stop_signal)
        return self.process.wait(timeout=STOP_TIMEOUT_S)

    def descendants(self) -> dict[int, str]:
        """Process id -> command line of every process below the supervisor."""
        parents: dict[int, int] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (state := _state_of(int(folder.name))) is not None:
                parents[int(folder.name)] = state[1]
        found: dict[int, str] = {}
        pending = [self.process.pid]
        while pending:
            parent = pending.pop()
            for pid in [pid for pid, of in parents.items() if of == parent]:
                found[pid] = _command_line(pid)
                pending.append(pid)
        return found


@contextmanager
def running_stack(data_dir: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[RunningStack]:
    """`limpid up` on a free port over `data_dir`, ready; whatever the test does, it is stopped in the end.

    `environment` is added to that of the test.
    """
    command = [*LIMPID, "up", "--port", "0", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {})
    )
    errors: list[str] = []
    reader = threading.Thread(target=_collect, args=(process, errors), daemon=True)
    reader.start()
    timer = threading.Timer(START_TIMEOUT_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"http://\S+?:\d+", line)
        assert match, f"limpid up did not get ready: {line!r}\n{''.join(errors)}"
        timer.cancel()
        yield RunningStack(process=process, url=match[0], data_dir=data_dir, errors=errors)
    finally:
        timer.cancel()
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=STOP_TIMEOUT_S)
        reader.join(timeout=5.0)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def is_running(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    state = _state_of(pid)
    return state is not None and state[0] != "Z"


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)


def _state_of(pid: int) -> tuple[str, int] | None:
    """State letter and parent's process id; None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1])


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""

"""Supervision with real child processes: restart, stop, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.process_group import ProcessGroup, describe_status
from cli.supervisor import FIRST_DELAY_S, LONGEST_DELAY_S, STEADY_AFTER_S, Supervisor

WAIT_S = 20.0


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


SLEEPER = python("import time; print('up', flush=True); time.sleep(600)")
STUBBORN = python(
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT_OF_STUBBORN = python(
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; "
    'signal.signal(signal.SIGTERM, signal.SIG_IGN); print("up", flush=True); time.sleep(600)\'])\n'
    "print('child', child.pid, flush=True)\n"
    "time.sleep(600)\n"
)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, clock: Clock, lines: list[str]) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "logs", announce=lines.append, clock=clock, stop_grace_s=1.0) as supervisor:
        yield supervisor


def log_holds(supervisor: Supervisor, text: str) -> Callable[[], bool]:
    log_path = supervisor.children[0].log_path
    return lambda: text in log_path.read_text(encoding="utf-8")


def pid_of(supervisor: Supervisor) -> int:
    group = supervisor.children[0].group
    assert group is not None
    return group.pid


def let_it_die(supervisor: Supervisor) -> None:
    group = supervisor.children[0].group
    assert group is not None
    os.kill(group.pid, signal.SIGKILL)
    assert group.wait(WAIT_S)
    supervisor.tick()


def test_child_that_is_killed_starts_again_after_the_delay(
    supervisor: Supervisor, clock: Clock, lines: list[str]
) -> None:
    supervisor.start("worker", command=lambda fd: SLEEPER)
    first_pid = pid_of(supervisor)

    let_it_die(supervisor)
    supervisor.tick()
    was_down = supervisor.children[0].group is None
    clock.now_s += FIRST_DELAY_S
    supervisor.tick()

    assert was_down
    assert pid_of(supervisor) != first_pid
    assert lines[0].startswith("worker was killed by SIGKILL; it starts again in 1 s.")
    assert lines[1] == "worker runs again."


def test_delay_doubles_up_to_a_limit_and_is_forgotten_by_a_steady_child(supervisor: Supervisor, clock: Clock) -> None:
    child = supervisor.start("worker", command=lambda fd: SLEEPER)
    delays = []
    for _ in range(7):
        let_it_die(supervisor)
        delays.append(child.restart_at - clock.now_s)
        clock.now_s = child.restart_at
        supervisor.tick()
    clock.now_s += STEADY_AFTER_S
    let_it_die(supervisor)

    assert delays == [1, 2, 4, LONGEST_DELAY_S, LONGEST_DELAY_S, LONGEST_DELAY_S, LONGEST_DELAY_S]
    assert child.restart_at - clock.now_s == FIRST_DELAY_S


def test_child_that_ignores_sigterm_is_killed_after_the_grace(supervisor: Supervisor) -> None:
    supervisor.start("worker", command=lambda fd: STUBBORN)
    wait_until(log_holds(supervisor, "up"))
    pid = pid_of(supervisor)

    supervisor.stop()

    assert not is_running(pid)


def test_what_a_child_started_ends_with_it(supervisor: Supervisor) -> None:
    supervisor.start("worker", command=lambda fd: PARENT_OF_STUBBORN)
    wait_until(log_holds(supervisor, "up"))
    log = supervisor.children[0].log_path.read_text(encoding="utf-8").split()
    grandchild = int(log[log.index("child") + 1])
    assert is_running(grandchild)

    supervisor.stop()

    wait_until(lambda: not is_running(grandchild))


def test_child_leads_its_own_session(supervisor: Supervisor) -> None:
    supervisor.start("worker", command=lambda fd: SLEEPER)
    pid = pid_of(supervisor)

    assert os.getsid(pid) == os.getpgid(pid) == pid


def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    child = "import sys, time; from cli.liveness import stop_with_supervisor; stop_with_supervisor(int(sys.argv[1])); "
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from cli.supervisor import Supervisor\n"
        f"supervisor = Supervisor(Path({str(tmp_path)!r}), announce=print)\n"
        f"command = (sys.executable, '-c', {child + 'time.sleep(600)'!r})\n"
        "child = supervisor.start('child', command=lambda fd: (*command, str(fd)))\n"
        "print(child.group.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(python(script), stdout=subprocess.PIPE, text=True) as supervising:
        assert supervising.stdout is not None
        pid = int(supervising.stdout.readline())
        assert is_running(pid)

        supervising.kill()

        wait_until(lambda: not is_running(pid))


def test_closed_group_tells_the_leader_s_status(tmp_path: Path) -> None:
    group = ProcessGroup(python("raise SystemExit(3)"), log_path=tmp_path / "log")

    assert group.wait(WAIT_S)
    assert group.close() == 3
    assert group.close() == 3


@pytest.mark.parametrize(
    ("status", "words"), [(0, "ended with status 0"), (3, "ended with status 3"), (-9, "was killed by SIGKILL")]
)
def test_status_is_told_in_words(status: int, words: str) -> None:
    assert describe_status(status) == words

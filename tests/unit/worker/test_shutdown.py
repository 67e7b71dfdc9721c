"""How the processes of a worker learn that it is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from worker.shutdown import ShutdownFlag, deferred_sigterm

ROOT = Path(__file__).parents[3]

SHARE_WITH_A_FORK = """
import os
from worker.shutdown import ShutdownFlag
flag = ShutdownFlag()
assert not flag.is_set()
child = os.fork()
if child == 0:
    flag.set()
    os._exit(0)
os.waitpid(child, 0)
raise SystemExit(0 if flag.is_set() else 1)
"""

# The grandchild outlives its parent, notices, and says so on the pipe that it inherited.
OUTLIVE_THE_PARENT = """
import os, sys, threading
from worker.shutdown import when_parent_dies
is_over = threading.Event()
if os.fork() == 0:
    when_parent_dies(is_over.set)
    print("watching", flush=True)
    print("noticed" if is_over.wait(20) else "missed", flush=True)
    os._exit(0)
sys.stdin.readline()
os._exit(0)
"""


def test_a_flag_is_set_once_and_for_all() -> None:
    flag = ShutdownFlag()
    assert not flag.is_set()

    flag.set()

    assert flag.is_set()


def test_a_flag_is_shared_with_forked_processes() -> None:
    assert subprocess.run([sys.executable, "-c", SHARE_WITH_A_FORK], cwd=ROOT).returncode == 0


def test_a_child_notices_that_its_parent_is_gone() -> None:
    command = [sys.executable, "-c", OUTLIVE_THE_PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "watching\n"

        parent.kill()

        assert parent.stdout.readline() == "noticed\n"
    assert parent.returncode == -signal.SIGKILL


def test_a_termination_waits_for_the_end_of_what_it_meets() -> None:
    seen: list[str] = []
    before = signal.getsignal(signal.SIGTERM)

    def be_terminated() -> None:
        with deferred_sigterm(lambda: seen.append("asked to stop"), is_parent_stopping=lambda: False):
            os.kill(os.getpid(), signal.SIGTERM)
            seen.append("gave back")

    with pytest.raises(SystemExit):
        be_terminated()

    assert seen == ["asked to stop", "gave back"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_child_of_a_pool_that_stops_is_let_go_by_it() -> None:
    seen: list[str] = []

    with deferred_sigterm(lambda: seen.append("asked to stop"), is_parent_stopping=lambda: True):
        os.kill(os.getpid(), signal.SIGTERM)

    assert seen == ["asked to stop"]


def test_without_a_termination_nothing_ends() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with deferred_sigterm(lambda: None, is_parent_stopping=lambda: False):
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before


def test_a_task_in_another_thread_is_left_as_it_is() -> None:
    handlers = []

    def run() -> None:
        with deferred_sigterm(lambda: None, is_parent_stopping=lambda: False):
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert handlers == [before]

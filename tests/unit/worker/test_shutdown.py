"""How the processes of a worker learn that it is over."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from worker.shutdown import ShutdownFlag

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

"""Scratch folders: gone when their run is, however it ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.workspace import open_workspace, remove_orphans

HOLD_A_WORKSPACE = """
import sys
from pathlib import Path
from worker.workspace import open_workspace
with open_workspace(Path(sys.argv[1]), "run") as folder:
    (folder / "scratch").write_bytes(b"x")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_workspace_is_empty_and_goes_with_its_run(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "scratch", "run") as folder:
        assert list(folder.iterdir()) == []
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()

    assert list((tmp_path / "scratch").iterdir()) == []


def _fail_in_workspace(scratch_dir: Path) -> None:
    with open_workspace(scratch_dir, "run"):
        raise RuntimeError("stop")


def test_a_workspace_goes_when_its_run_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"):
        _fail_in_workspace(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_only_the_folders_of_dead_processes_are_orphans(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD_A_WORKSPACE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_root()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

        assert remove_orphans(tmp_path) == 0
        assert (tmp_path / "run" / "scratch").exists()
        process.kill()
        process.wait()

    assert (tmp_path / "run" / "scratch").exists()
    assert remove_orphans(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").touch()
    (tmp_path / "run.lock").touch()

    with open_workspace(tmp_path, "run") as folder:
        assert list(folder.iterdir()) == []


def test_a_scratch_folder_that_is_not_there_has_no_orphans(tmp_path: Path) -> None:
    assert remove_orphans(tmp_path / "none") == 0


def _root() -> str:
    return os.fspath(Path(__file__).parents[3])

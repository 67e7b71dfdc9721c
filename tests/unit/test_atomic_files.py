"""Small files are there whole, as they were before, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.atomic_files import write_atomically


def test_file_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"the old content, longer")

    write_atomically(path, b"new")

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_longest_name_that_a_file_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)

    write_atomically(path, b"whole")

    assert path.read_bytes() == b"whole"


def test_write_that_fails_leaves_the_old_content_and_no_trace(tmp_path: Path) -> None:
    taken = tmp_path / "state.json"
    (taken / "inside").mkdir(parents=True)

    with pytest.raises(OSError, match=r"state\.json"):
        write_atomically(taken, b"new")

    assert [path.name for path in tmp_path.rglob("*")] == ["state.json", "inside"]


def test_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "removed" / "state.json", b"new")

    assert not (tmp_path / "removed").exists()

"""Scratch folders of runs: removed when the run ends, and by the next process when its own was killed."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

_LOCK_SUFFIX = ".lock"


@contextmanager
def open_workspace(scratch_dir: Path, name: str) -> Iterator[Path]:
    """A fresh, empty folder for one run. A lock on a file beside it says that the run lives."""
    scratch_dir.mkdir(parents=True, exist_ok=True)
    folder = scratch_dir / name
    lock = folder.with_name(name + _LOCK_SUFFIX)
    descriptor = _lock(lock)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    finally:
        _remove(folder, lock, descriptor)


def remove_orphans(scratch_dir: Path) -> int:
    """Remove the folders of runs whose process is gone; return how many."""
    removed = 0
    for lock in scratch_dir.glob(f"*{_LOCK_SUFFIX}"):
        try:
            descriptor = os.open(lock, os.O_RDWR)
        except FileNotFoundError:
            continue  # its run has just ended
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        folder = lock.with_name(lock.name.removesuffix(_LOCK_SUFFIX))
        _remove(folder, lock, descriptor)
        logger.info("orphaned_scratch_folder_removed", extra={"folder": folder.name})
        removed += 1
    return removed


def _lock(path: Path) -> int:
    """A descriptor that holds the lock of the file at `path`.

    Between making the file and locking it somebody may take it for an orphan's and unlink it: then it is made again.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _remove(folder: Path, lock: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.unlink(missing_ok=True)
    os.close(descriptor)

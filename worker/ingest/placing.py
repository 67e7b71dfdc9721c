"""Files put into place whole and without ever overwriting another."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""How file systems without hard links (FAT, some network drives) refuse one."""


def place(source: Path, target: Path) -> Path:
    """Move the file `source` to `target`, on the same file system; return where it is now.

    When another file has that name, a number is put before the suffix (`talk-2.wav`). A file of the same content under
    the name is taken for the trace of a move that a crash cut short, or for the same thing done twice: it stays, and
    `source` is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    return next(name for name in _numbered(target) if _move_exclusively(source, name) or _drop_copy(source, name))


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_exclusively(source: Path, target: Path) -> bool:
    """Move unless the name is taken: False then."""
    try:
        # A hard link, unlike a rename, refuses a name that is taken, and appears whole.
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        try:
            target.open("xb").close()
        except FileExistsError:
            return False
        source.replace(target)
        return True
    source.unlink()
    return True


def _numbered(target: Path) -> Iterator[Path]:
    yield target
    for number in count(2):
        yield target.with_name(f"{target.stem}-{number}{target.suffix}")


def _drop_copy(source: Path, target: Path) -> bool:
    """Remove `source` if it holds what `target` holds: False when it does not."""
    is_copy = target.is_file() and (source.samefile(target) or _is_same_content(source, target))
    if is_copy:
        source.unlink()
    return is_copy


def _is_same_content(first: Path, second: Path) -> bool:
    return first.stat().st_size == second.stat().st_size and sha256_of(first) == sha256_of(second)

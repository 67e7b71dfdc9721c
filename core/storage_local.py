"""The ObjectStore in a folder: for the embedded stack and for tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from uuid import uuid4

from core.errors import NotFound, StorageError
from core.object_keys import checked_key, checked_prefix

_INCOMING = ".incoming"  # no key starts with a dot
_COPY_BYTES = 1 << 20


class LocalObjectWriter:
    """Writes beside the objects and renames into place, so that nobody ever sees half an object."""

    def __init__(self, temporary: Path, target: Path) -> None:
        self._temporary, self._target = temporary, target
        self._is_committed = False
        with _answered():
            temporary.parent.mkdir(parents=True, exist_ok=True)
            self._file = temporary.open("xb")

    def write(self, data: bytes) -> None:
        """Append; StorageError when the disk is full."""
        with _answered():
            self._file.write(data)

    def commit(self) -> None:
        """Make the object visible, whole."""
        with _answered():
            self._file.close()
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.replace(self._target)
        self._is_committed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_committed:
            # Closing flushes, which fails again on a full disk; the file goes away all the same.
            with suppress(OSError):
                self._file.close()
            self._temporary.unlink(missing_ok=True)


class LocalObjectStore:
    """Objects as files below `root`, named by their keys. The media type is not kept: the database has it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open_writer(self, key: str, *, media_type: str) -> LocalObjectWriter:
        """Stream bytes into a new object."""
        return LocalObjectWriter(self._root / _INCOMING / uuid4().hex, self._path_of(key))

    def open_reader(self, key: str) -> BinaryIO:
        """The object as an open file."""
        with _answered():
            return self._path_of(key).open("rb")

    def upload(self, path: Path, key: str, *, media_type: str) -> None:
        """Copy the file at `path` into the store."""
        with path.open("rb") as source, self.open_writer(key, media_type=media_type) as writer:
            while chunk := source.read(_COPY_BYTES):
                writer.write(chunk)
            writer.commit()

    def download(self, key: str, path: Path) -> None:
        """Copy the object to `path`."""
        with _answered():
            shutil.copyfile(self._path_of(key), path)

    def copy(self, key: str, target: str, *, media_type: str) -> None:
        """Copy one object to another."""
        with _answered():
            self.upload(self._path_of(key), target, media_type=media_type)

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with `prefix`, and the folders that become empty."""
        parent, _, start = checked_prefix(prefix).rpartition("/")
        folder = self._root / parent
        with _answered():
            matches = [path for path in folder.glob("*") if path.name.startswith(start)]
            files = [path for path in matches if path.is_file()]
            files += [path for match in matches if match.is_dir() for path in match.rglob("*") if path.is_file()]
            for path in files:
                path.unlink(missing_ok=True)
            for match in matches:
                self._remove_empty_folders(match)
        return len(files)

    def presign_get(self, key: str, *, file_name: str, media_type: str, expires_s: int) -> str | None:
        """None: a folder has no URLs, the API streams."""
        return None

    def check(self) -> None:
        """Raise StorageError when the folder cannot be written."""
        with _answered():
            self._root.mkdir(parents=True, exist_ok=True)
            if not os.access(self._root, os.R_OK | os.W_OK | os.X_OK):
                raise StorageError("The object store's folder cannot be written.")

    def _path_of(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _remove_empty_folders(self, folder: Path) -> None:
        below = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
        above = [path for path in folder.parents if self._root in path.parents]
        for path in [*below, folder, *above]:
            with suppress(OSError):  # a file, not empty, or filled again by somebody: it stays
                path.rmdir()


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("There is no such object.") from error
    except OSError as error:
        raise StorageError(f"The object store's folder failed: {error.strerror}.") from error

"""The ObjectStore port. Adapters: core.storage_local (a folder) and core.storage_s3 (boto3)."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self


class ObjectWriter(Protocol):
    """A write in progress. The object appears, whole, at `commit`; leaving the context without that removes all."""

    def write(self, data: bytes) -> None: ...

    def commit(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ObjectStore(Protocol):
    """Files by key. Keys are ours ("jobs/<id>/input"), never a user's file name. Errors are StorageError.

    A key that does not exist raises NotFound.
    """

    def open_writer(self, key: str, *, media_type: str) -> ObjectWriter:
        """Stream bytes into a new object; nothing is held beyond one part."""
        ...

    def open_reader(self, key: str) -> BinaryIO:
        """A seekable reader that fetches only the ranges that are read."""
        ...

    def upload(self, path: Path, key: str, *, media_type: str) -> None: ...

    def download(self, key: str, path: Path) -> None: ...

    def copy(self, key: str, target: str, *, media_type: str) -> None:
        """Make the object `target` of the one at `key`, within the store where it can."""
        ...

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with `prefix`; return how many."""
        ...

    def presign_get(self, key: str, *, file_name: str, media_type: str, expires_s: int) -> str | None:
        """A URL that a client can fetch by itself, or None where the store has none (the API streams then)."""
        ...

    def check(self) -> None:
        """Raise StorageError when the store does not answer."""
        ...

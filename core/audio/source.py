"""The bytes of a file as the decoding libraries read them: a path or a seekable file object, failures kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

MAX_OFFSET = 2**62
Result = TypeVar("Result")


class Source:
    """A seekable stream of bytes that third-party C code can call back into.

    An exception must not cross libsndfile's callbacks (it would be printed and read as the end of the file), so the
    first one is kept, the library sees the end of the file, and `raise_failure` raises it where Python is in charge.
    A path is opened and closed here; a file object is left open and belongs to the caller.
    """

    def __init__(self, source: BinaryIO | Path) -> None:
        self._owned = source.open("rb") if isinstance(source, Path) else None
        self._file: BinaryIO = self._owned if self._owned is not None else source  # type: ignore[assignment]
        self._failure: Exception | None = None
        self.size_bytes = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)

    def read(self, size: int = -1, /) -> bytes:
        return self._guard(lambda: self._file.read(size), b"")

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.size_bytes}.get(whence)
        # A damaged header sends the library to places that no file has; that is a fault of the file, not of its source.
        if start is None or not 0 <= start + offset < MAX_OFFSET:
            return -1
        return self._guard(lambda: self._file.seek(start + offset), -1)

    def tell(self) -> int:
        return self._guard(self._file.tell, -1)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; shorter at the end of the file. Moves the position."""
        self.seek(offset)
        return self.read(size)

    def raise_failure(self) -> None:
        """Raise what reading raised, if it did: a storage error is not a fault of the file."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _guard(self, action: Callable[[], Result], fallback: Result) -> Result:
        if self._failure is not None:
            return fallback
        try:
            return action()
        except Exception as error:
            self._failure = error
            return fallback

"""A ZIP archive as a stream of blocks: stored, not compressed, in constant memory, of any size (ZIP64)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

BLOCK_BYTES = 2 * 1024**2
"""Each block is one request where the files lie on S3."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a ZIP archive can say
_READABLE = 0o100644 << 16  # a regular file, for unzip on Unix


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """A file to be archived. `open` is called when its turn has come."""

    path: str
    bytes: int
    modified_at: datetime
    open: Callable[[], BinaryIO]


def archive_blocks(entries: Iterable[ArchiveEntry]) -> Iterator[bytes]:
    """The archive's bytes, a block at a time; blocks while files are read.

    Sizes and checksums follow the data of each file, since they are known only then; every common unpacker reads the
    directory at the end. EOFError when a file is shorter or longer than its entry says: the archive then has no end.
    """
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_STORED, allowZip64=True) as archive:
        for entry in entries:
            info = ZipInfo(entry.path, max(entry.modified_at.timetuple()[:6], _EARLIEST))
            info.file_size = entry.bytes  # decides whether the entry needs ZIP64
            info.external_attr = _READABLE
            with entry.open() as source, archive.open(info, "w") as target:
                left = entry.bytes
                while block := source.read(BLOCK_BYTES):
                    left -= len(block)
                    target.write(block)
                    yield sink.take()
                if left:
                    raise EOFError(f"A stored file has {-left:+d} bytes more than it should.")
    yield sink.take()


class _Sink:
    """A file that keeps what was written until it is taken. It cannot seek, and so ZipFile never goes back."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._blocks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        """What was written since the last call."""
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)

"""ZIP archives as streams: whole, of constant memory, of any size, and without an end when something is missing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO

import pytest

from api.archive import BLOCK_BYTES, ArchiveEntry, archive_blocks

NOON = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)


def entry(path: str, data: bytes, *, size_bytes: int | None = None, at: datetime = NOON) -> ArchiveEntry:
    size_bytes = len(data) if size_bytes is None else size_bytes
    return ArchiveEntry(path=path, bytes=size_bytes, modified_at=at, open=lambda: io.BytesIO(data))


def unpack(blocks: Iterator[bytes]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(blocks)))
    assert archive.testzip() is None
    return archive


def test_files_come_out_as_they_went_in() -> None:
    files = {"a.wav": b"1" * 600_000, "ä/β.flac": b"2", "empty.bin": b""}

    archive = unpack(archive_blocks([entry(path, data) for path, data in files.items()]))

    assert {name: archive.read(name) for name in archive.namelist()} == files
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert archive.infolist()[0].date_time == (2026, 11, 20, 12, 0, 30)


def test_archive_of_nothing_is_an_archive() -> None:
    assert unpack(archive_blocks([])).namelist() == []


def test_memory_stays_within_a_block() -> None:
    blocks = [len(block) for block in archive_blocks([entry("a.wav", bytes(5 * BLOCK_BYTES))])]

    assert len(blocks) > 5
    assert max(blocks) <= BLOCK_BYTES + 1000


def test_files_are_opened_one_after_the_other_and_closed() -> None:
    open_now: list[BinaryIO] = []

    def opened() -> BinaryIO:
        assert all(file.closed for file in open_now)
        open_now.append(io.BytesIO(b"x"))
        return open_now[-1]

    entries = [ArchiveEntry(path=f"{n}", bytes=1, modified_at=NOON, open=opened) for n in range(3)]

    assert unpack(archive_blocks(entries)).namelist() == ["0", "1", "2"]
    assert len(open_now) == 3


def test_large_files_use_zip64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    data = b"x" * 5000

    raw = b"".join(archive_blocks([entry("large.wav", data), entry("small.wav", b"y")]))

    archive = zipfile.ZipFile(io.BytesIO(raw))
    assert archive.read("large.wav") == data
    assert archive.read("small.wav") == b"y"
    local_extra = raw[30 + len("large.wav") :][:4]
    assert local_extra == b"\x01\x00\x10\x00"  # ZIP64 extended information, 16 bytes
    assert b"PK\x06\x06" in raw  # ZIP64 end of central directory


@pytest.mark.parametrize("size_bytes", [2, 4])
def test_file_of_another_size_breaks_the_archive_off(size_bytes: int) -> None:
    with pytest.raises(EOFError):
        list(archive_blocks([entry("a.wav", b"123", size_bytes=size_bytes)]))


def test_time_before_1980_is_said_as_1980() -> None:
    old = datetime(1970, 1, 1, tzinfo=UTC)

    assert unpack(archive_blocks([entry("a", b"", at=old)])).infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)

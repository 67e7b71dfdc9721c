"""Puts what libsndfile cannot write into its files: cover pictures, and an MP3's tags. The sound's bytes stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

from core.audio.cover import FRONT_COVER, OGG_FIELD, Cover, ogg_comment, picture_block
from core.audio.ogg_pages import OggPage, paginate, read_page
from core.errors import InsufficientDisk

STREAMINFO_BYTES = 34  # RFC 9639, section 8.2
_PICTURE_BLOCK = 6
_LAST_BLOCK = 0x80
_VORBIS_HEADERS = 3  # identification, comment, setup: Vorbis I, section 4.2
_FRAMING = b"\x01"
_RIFF_SIZE_AT, _DS64_SIZE_AT = 4, 20  # ITU-R BS.2088: the size in "ds64", the first chunk, stands for the header's
_UTF_8 = b"\x03"
_NO_LANGUAGE = b"XXX"
_ID3_TEXTS = {
    "title": b"TIT2",
    "artist": b"TPE1",
    "album": b"TALB",
    "date": b"TDRC",
    "genre": b"TCON",
    "copyright": b"TCOP",
    "tracknumber": b"TRCK",
}


Rewrite = Callable[[BinaryIO, BinaryIO], None]


def complete_tags(path: Path, format: str, *, cover: Cover | None, tags: Mapping[str, str]) -> None:
    """Add to the file of this `format` what it lacks and can hold; InsufficientDisk."""
    rewrite: Rewrite | None = None
    if format == "wav" and cover is not None:
        _append_to_wav(path, cover, tags)
    elif format == "mp3" and (cover is not None or tags):
        rewrite = partial(_write_mp3, cover=cover, tags=tags)
    elif cover is not None and format in _REWRITES:
        rewrite = partial(_REWRITES[format], cover=cover)
    if rewrite is not None:
        _replace(path, rewrite)


def _replace(path: Path, rewrite: Rewrite) -> None:
    part = path.with_name(f"{path.name}.cover")
    try:
        with path.open("rb") as source, part.open("wb") as target:
            rewrite(source, target)
        os.replace(part, path)
    except OSError as error:
        raise _no_room() from error
    finally:
        part.unlink(missing_ok=True)


def _no_room() -> InsufficientDisk:
    return InsufficientDisk("The output could not be written: the disk is full or not writable.")


def _append_to_wav(path: Path, cover: Cover, tags: Mapping[str, str]) -> None:
    """An ID3v2 tag as the last chunk of a WAV or RF64 file, which may be too long to be copied for it."""
    tag = _id3_tag(cover, tags)
    chunk = b"id3 " + len(tag).to_bytes(4, "little") + tag + bytes(len(tag) % 2)
    try:
        with path.open("r+b") as file:
            is_rf64 = file.read(4) == b"RF64"
            end = file.seek(0, os.SEEK_END)
            chunk = bytes(end % 2) + chunk
            file.write(chunk)
            place, width = (_DS64_SIZE_AT, 8) if is_rf64 else (_RIFF_SIZE_AT, 4)
            file.seek(place)
            file.write((end + len(chunk) - 8).to_bytes(width, "little"))
    except OSError as error:
        raise _no_room() from error


def _write_flac(source: BinaryIO, target: BinaryIO, cover: Cover) -> None:
    """The picture's block comes second, after the one that must be first (RFC 9639, section 8.1)."""
    marker, header = source.read(4), source.read(4)
    block = picture_block(cover)
    kind = _PICTURE_BLOCK | header[0] & _LAST_BLOCK
    target.write(marker + bytes([header[0] & ~_LAST_BLOCK]) + header[1:] + source.read(STREAMINFO_BYTES))
    target.write(bytes([kind]) + len(block).to_bytes(3, "big") + block)
    shutil.copyfileobj(source, target)


def _write_mp3(source: BinaryIO, target: BinaryIO, cover: Cover | None, tags: Mapping[str, str]) -> None:
    target.write(_id3_tag(cover, tags))
    shutil.copyfileobj(source, target)


def _id3_tag(cover: Cover | None, tags: Mapping[str, str]) -> bytes:
    """An ID3v2.4 tag: texts (section 4.2 of its frames), comment (4.10) and picture (4.14)."""
    bodies = [(name, _UTF_8 + tags[tag].encode()) for tag, name in _ID3_TEXTS.items() if tag in tags]
    if "comment" in tags:
        bodies.append((b"COMM", _UTF_8 + _NO_LANGUAGE + b"\0" + tags["comment"].encode()))
    if cover is not None:
        picture = b"\0" + cover.media_type.encode() + b"\0" + bytes([FRONT_COVER]) + b"\0" + cover.data
        bodies.append((b"APIC", picture))
    frames = b"".join(name + _synchsafe(len(body)) + b"\0\0" + body for name, body in bodies)
    return b"ID3\x04\0\0" + _synchsafe(len(frames)) + frames


def _synchsafe(value: int) -> bytes:
    """Four bytes of seven bits, the highest first (ID3v2.4, section 6.2 of its structure)."""
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def _write_ogg(source: BinaryIO, target: BinaryIO, cover: Cover) -> None:
    """The comment packet grows, so the header pages are cut anew and all that follow are numbered anew."""
    pages, packets = _read_headers(source)
    first = pages[0]
    comment = _with_field(packets[1], f"{OGG_FIELD}={ogg_comment(cover)}".encode())
    headers = [first, *paginate([comment, packets[2]], serial=first.serial, sequence=first.sequence + 1)]
    for page in headers:
        target.write(page.encode())
    shift = len(headers) - len(pages)
    while (later := read_page(source)) is not None:
        target.write(later.renumbered(later.sequence + shift).encode())


def _read_headers(source: BinaryIO) -> tuple[list[OggPage], list[bytes]]:
    """The pages up to the end of the third packet, which ends its page (Vorbis I, section A.2), and the packets."""
    pages: list[OggPage] = []
    packets: list[bytes] = []
    held = b""
    while len(packets) < _VORBIS_HEADERS:
        page = read_page(source)
        if page is None:
            raise ValueError("an OGG file that ends within its headers")
        pages.append(page)
        for piece, is_whole in page.packets():
            held += piece
            if is_whole:
                packets.append(held)
                held = b""
    return pages, packets


def _with_field(comment: bytes, field: bytes) -> bytes:
    """The comment packet (Vorbis I, section 5.2.1) with one more field at its end."""
    start = len(b"\x03vorbis")
    count_at = start + 4 + int.from_bytes(comment[start : start + 4], "little")
    count = int.from_bytes(comment[count_at : count_at + 4], "little")
    fields_end = count_at + 4
    for _ in range(count):
        fields_end += 4 + int.from_bytes(comment[fields_end : fields_end + 4], "little")
    return b"".join(
        [
            comment[:count_at],
            (count + 1).to_bytes(4, "little"),
            comment[count_at + 4 : fields_end],
            len(field).to_bytes(4, "little"),
            field,
            _FRAMING,
        ]
    )


_REWRITES = {"flac": _write_flac, "ogg": _write_ogg}

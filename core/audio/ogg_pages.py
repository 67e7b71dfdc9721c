"""Pages of an OGG stream (RFC 3533): read, cut from packets, numbered, and written with their checksum."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

CONTINUED = 0x01  # the page begins within a packet
MAX_SEGMENTS = 255
SEGMENT_BYTES = 255
NO_PACKET_ENDS = -1  # granule position of a page on which no packet ends
_HEADER = struct.Struct("<4sBBqIIIB")
_REVERSED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass(frozen=True, kw_only=True)
class OggPage:
    """One page; `lacing` holds the length of each segment, `data` the segments."""

    flags: int
    granule_position: int
    serial: int
    sequence: int
    lacing: bytes
    data: bytes

    def encode(self) -> bytes:
        """The page's bytes."""
        fields = (b"OggS", 0, self.flags, self.granule_position, self.serial, self.sequence)
        head = _HEADER.pack(*fields, 0, len(self.lacing)) + self.lacing
        return _HEADER.pack(*fields, checksum(head + self.data), len(self.lacing)) + self.lacing + self.data

    def renumbered(self, sequence: int) -> OggPage:
        """The same page at another place of its stream."""
        return replace(self, sequence=sequence)

    def packets(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the packets, or their parts, on this page, and whether each ends here."""
        start = stop = 0
        for length in self.lacing:
            stop += length
            if length < SEGMENT_BYTES:
                yield self.data[start:stop], True
                start = stop
        if start < stop or (self.lacing and self.lacing[-1] == SEGMENT_BYTES):
            yield self.data[start:stop], False


def read_page(source: BinaryIO) -> OggPage | None:
    """Return the page at the position of `source`, None at the end of the file; ValueError for anything else."""
    head = source.read(_HEADER.size)
    if not head:
        return None
    if len(head) < _HEADER.size or head[:4] != b"OggS":
        raise ValueError("no OGG page where one should begin")
    _, _, flags, granule_position, serial, sequence, _, segments = _HEADER.unpack(head)
    lacing = source.read(segments)
    return OggPage(
        flags=flags,
        granule_position=granule_position,
        serial=serial,
        sequence=sequence,
        lacing=lacing,
        data=source.read(sum(lacing)),
    )


def paginate(packets: Sequence[bytes], *, serial: int, sequence: int) -> Iterator[OggPage]:
    """Yield the pages of header packets, numbered from `sequence`; the last packet ends its page."""
    lacing, data = b"", b"".join(packets)
    ends = set()
    for packet in packets:
        whole, rest = divmod(len(packet), SEGMENT_BYTES)
        lacing += bytes([SEGMENT_BYTES] * whole + [rest])
        ends.add(len(lacing))
    position = 0
    for start in range(0, len(lacing), MAX_SEGMENTS):
        piece = lacing[start : start + MAX_SEGMENTS]
        has_end = any(start < end <= start + len(piece) for end in ends)
        yield OggPage(
            flags=0 if start == 0 or start in ends else CONTINUED,
            granule_position=0 if has_end else NO_PACKET_ENDS,
            serial=serial,
            sequence=sequence,
            lacing=piece,
            data=data[position : position + sum(piece)],
        )
        position += sum(piece)
        sequence += 1


def checksum(page: bytes) -> int:
    """The page's CRC (RFC 3533, section 6), its own field being 0.

    Polynomial 0x04C11DB7, first bit first, no inversion: that of zlib with the bits of each byte, and of the result,
    the other way round. zlib is a hundred times as fast as a loop.
    """
    mirrored = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED_BITS), "big")

"""What file headers declare, read without decoding: the libraries hide it, and it tells a whole file from a cut one."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from core.audio.source import Source

WAVE_PCM, WAVE_FLOAT, WAVE_EXTENSIBLE = 1, 3, 0xFFFE
WAVE_ALAW, WAVE_MULAW = 6, 7
PLAIN_TAGS = frozenset({WAVE_PCM, WAVE_FLOAT, WAVE_EXTENSIBLE, WAVE_ALAW, WAVE_MULAW})
"""A block of these is one frame."""
BLOCK_TAGS = frozenset({0x02, 0x11, 0x31})
"""Microsoft's and IMA's ADPCM, GSM 6.10: the format chunk says how many frames are in a block."""
# Programs that write to a pipe cannot know the length; they put 0 or a value near the end of the 31- or 32-bit range.
UNKNOWN_SIZE_FLOOR_BYTES = 0x7FFF0000
MAX_CHUNKS = 1_000
MAX_OGG_PAGE_BYTES = 65_307  # RFC 3533, section 6
W64_FORM_BYTES = 40  # GUID, size, GUID
W64_CHUNK_BYTES = 24  # GUID and size
AU_UNKNOWN_SIZE = 0xFFFFFFFF
AU_SAMPLE_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # by encoding: mu-law, integers, floats, A-law
MP3_LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")


@dataclass(frozen=True, kw_only=True)
class WaveHeader:
    """The format chunk of a RIFF, RF64 or BW64 file. `data_frames` is None when not stated, and for rare codecs."""

    sample_rate: int
    channels: int
    data_frames: int | None


def read_wave_header(source: Source) -> WaveHeader | None:
    """Return what the chunks of a WAVE file declare, None when the file has no format chunk before its data."""
    head = source.read_at(0, 12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
        return None
    data_size_64: int | None = None
    layout: tuple[int, int, int] | None = None  # channels, rate, bytes of a block
    frames_per_block = 0
    offset = 12
    for _ in range(MAX_CHUNKS):
        chunk = source.read_at(offset, 8)
        if len(chunk) < 8:
            break
        name, size = struct.unpack("<4sI", chunk)
        if name == b"ds64":
            body = source.read_at(offset + 8, 16)
            data_size_64 = struct.unpack("<Q", body[8:16])[0] if len(body) == 16 else None
        elif name == b"fmt ":
            body = source.read_at(offset + 8, 20)
            if len(body) < 16:
                break
            tag, *numbers = struct.unpack("<HHIIH", body[:14])
            layout = (numbers[0], numbers[1], numbers[3])
            if tag in PLAIN_TAGS:
                frames_per_block = 1
            elif tag in BLOCK_TAGS and size >= 20 and len(body) == 20:
                frames_per_block = struct.unpack("<H", body[18:])[0]
        elif name == b"data":
            break
        offset += 8 + size + size % 2
    else:
        return None
    if layout is None:
        return None
    channels, sample_rate, block_bytes = layout
    data_bytes = _declared_data_bytes(chunk, data_size_64)
    if data_bytes is None or block_bytes == 0 or frames_per_block == 0:
        return WaveHeader(sample_rate=sample_rate, channels=channels, data_frames=None)
    frames = data_bytes // block_bytes * frames_per_block
    return WaveHeader(sample_rate=sample_rate, channels=channels, data_frames=frames)


def _declared_data_bytes(chunk: bytes, data_size_64: int | None) -> int | None:
    if len(chunk) < 8 or chunk[:4] != b"data":
        return None
    size: int = struct.unpack("<I", chunk[4:8])[0]
    if data_size_64 is not None and size == 0xFFFFFFFF:
        return data_size_64 or None
    return size if 0 < size < UNKNOWN_SIZE_FLOOR_BYTES else None


def declared_frames(source: Source) -> int | None:
    """Return the frame count that a WAVE, AIFF, W64 or AU header states, None for other files and unknown counts.

    libsndfile cuts these silently to what the file holds; for the other formats it reports what the header says.
    """
    header = read_wave_header(source)
    if header is not None:
        return header.data_frames
    return read_aiff_frames(source) or read_w64_frames(source) or read_au_frames(source)


def read_aiff_frames(source: Source) -> int | None:
    """Return the frame count in the common chunk of an AIFF or AIFC file, None when there is none."""
    head = source.read_at(0, 12)
    if head[:4] != b"FORM" or head[8:12] not in (b"AIFF", b"AIFC"):
        return None
    offset = 12
    for _ in range(MAX_CHUNKS):
        chunk = source.read_at(offset, 14)
        if len(chunk) < 14:
            return None
        name, size, _channels, frames = struct.unpack(">4sIHI", chunk)
        if name == b"COMM":
            return int(frames) or None
        offset += 8 + size + size % 2
    return None


def read_w64_frames(source: Source) -> int | None:
    """Return the frame count of a Sony Wave64 file's PCM data, None when it states none.

    Its chunks are named by GUIDs whose first four bytes are the names of RIFF; sizes count the chunk's own header.
    """
    if source.read_at(0, 4) != b"riff":
        return None
    block_bytes = 0
    offset = W64_FORM_BYTES
    for _ in range(MAX_CHUNKS):
        chunk = source.read_at(offset, W64_CHUNK_BYTES + 16)
        if len(chunk) < W64_CHUNK_BYTES:
            return None
        name, size = chunk[:4], int.from_bytes(chunk[16:24], "little")
        if name == b"fmt " and len(chunk) == W64_CHUNK_BYTES + 16:
            tag, block_bytes = struct.unpack_from("<H10xH", chunk, W64_CHUNK_BYTES)
            if tag not in (WAVE_PCM, WAVE_FLOAT, WAVE_EXTENSIBLE):
                return None
        elif name == b"data":
            return (size - W64_CHUNK_BYTES) // block_bytes or None if block_bytes and size > W64_CHUNK_BYTES else None
        if size < W64_CHUNK_BYTES:
            return None
        offset += size + -size % 8
    return None


def read_au_frames(source: Source) -> int | None:
    """Return the frame count in the header of an AU file with PCM or float data, None when it states none."""
    head = source.read_at(0, 24)
    if len(head) < 24 or head[:4] != b".snd":
        return None
    _, data_bytes, encoding, _, channels = struct.unpack(">5I", head[4:])
    sample_bytes = AU_SAMPLE_BYTES.get(encoding)
    if sample_bytes is None or channels == 0 or data_bytes == AU_UNKNOWN_SIZE:
        return None
    return int(data_bytes) // (sample_bytes * channels) or None


def read_mp4_timescale(source: Source) -> int | None:
    """Return the units a second in which an MP4 states its length (ISO 14496-12: moov, mvhd), None for other files."""
    if source.read_at(4, 4) != b"ftyp":
        return None
    offset = 0
    for _ in range(MAX_CHUNKS):
        head = source.read_at(offset, 16)
        if len(head) < 16:
            return None
        size, name, size_64 = struct.unpack(">I4sQ", head)
        if name == b"moov":
            # Its first box is the movie's header: size, name, version, flags, two times of 4 or (version 1) 8 bytes.
            header = source.read_at(offset + 8, 32)
            place = 28 if header[8:9] == b"\x01" else 20
            is_whole = header[4:8] == b"mvhd" and len(header) == 32
            return int.from_bytes(header[place : place + 4]) if is_whole else None
        size = size_64 if size == 1 else size
        if size < 8:
            return None
        offset += size
    return None


def has_mp3_length(source: Source) -> bool:
    """True when an MP3's first frame holds a Xing, Info or VBRI tag, so that its stated duration is no guess."""
    head = source.read_at(0, 10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        # The size of an ID3v2 tag is stored in four bytes of seven bits.
        start = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    frame = source.read_at(start, 512)
    return any(tag in frame for tag in MP3_LENGTH_TAGS)


def lacks_ogg_end(source: Source) -> bool:
    """True when the last page of an OGG file is not marked as the end of its stream: the file was cut, or never closed.

    OGG states no length in front, so this mark is all that tells. RFC 3533, section 6: bit 2 of a page's sixth byte.
    """
    start = max(0, source.size_bytes - MAX_OGG_PAGE_BYTES)
    tail = source.read_at(start, MAX_OGG_PAGE_BYTES)
    page = tail.rfind(b"OggS")
    return page < 0 or page + 5 >= len(tail) or not tail[page + 5] & 0x04


def truncation_warning(decoded_s: float, declared_s: float) -> str:
    """Return the warning for a file that ends before its declared length (0: it declares none)."""
    if declared_s <= decoded_s:
        return f"The file is damaged: what follows the first {decoded_s:.2f} s could not be decoded."
    return (
        f"The file is cut short or damaged: {decoded_s:.2f} s of the {declared_s:.2f} s that it declares "
        "could be decoded."
    )

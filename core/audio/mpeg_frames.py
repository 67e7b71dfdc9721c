"""Frames of MPEG audio layer III (ISO 11172-3, 13818-3), as far as needed to tell a whole MP3 from a cut one."""

from __future__ import annotations

from core.audio.source import Source

TAIL_BYTES = 8_192  # five of the largest frames and more
MIN_CHAIN = 2  # frames that must follow each other before the first is believed
_HEADER_BYTES = 4
_ID3V1_BYTES = 128
_LAYER_III = 0b01
_MPEG_1 = 0b11
# By the index in the header; 0 is the free format, whose frames do not state their size.
_KILOBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KILOBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = {0b11: (44_100, 48_000, 32_000), 0b10: (22_050, 24_000, 16_000), 0b00: (11_025, 12_000, 8_000)}


def frame_bytes(header: bytes) -> int | None:
    """The size of the layer III frame that begins with these four bytes, header included; None for no such header."""
    if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 0b11, header[1] >> 1 & 0b11
    bit_rate_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 0b11, header[2] >> 1 & 1
    if layer != _LAYER_III or version not in _RATES_HZ or bit_rate_index in (0, 15) or rate_index == 0b11:
        return None
    kilobits = (_KILOBITS_1 if version == _MPEG_1 else _KILOBITS_2)[bit_rate_index]
    samples_per_byte = 144 if version == _MPEG_1 else 72  # 1152 or 576 samples, in bytes
    return samples_per_byte * 1000 * kilobits // _RATES_HZ[version][rate_index] + padding


def lacks_mp3_end(source: Source) -> bool:
    """True when the last frame of an MP3 is not all there: the file was cut. A cut between frames cannot be seen.

    Other data at the end than frames and an ID3v1 tag says nothing.
    """
    tail = source.read_at(max(0, source.size_bytes - TAIL_BYTES), TAIL_BYTES)
    if tail[-_ID3V1_BYTES:].startswith(b"TAG"):
        tail = tail[:-_ID3V1_BYTES]
    for start in range(len(tail) - _HEADER_BYTES):
        if frame_bytes(tail[start : start + _HEADER_BYTES]) is None:
            continue
        end, frames = _follow(tail, start)
        if frames >= MIN_CHAIN:
            return end > len(tail)
    return False


def _follow(data: bytes, position: int) -> tuple[int, int]:
    """Where the chain of frames from `position` ends, and how many they are; past the end for one that is cut."""
    frames = 0
    while (size := frame_bytes(data[position : position + _HEADER_BYTES])) is not None:
        position += size
        frames += 1
    is_cut_header = frames > 0 and 0 < len(data) - position < _HEADER_BYTES and data[position] == 0xFF
    return (len(data) + 1 if is_cut_header else position), frames

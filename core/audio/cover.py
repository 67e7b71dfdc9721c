"""The cover picture of a recording: found in what is read, put into what is written, where the container holds one."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av.error

from core.audio.pyav import is_cover, open_container
from core.audio.source import Source

MAX_COVER_BYTES = 8 * 2**20  # half of what a FLAC block can hold; larger ones are left out
FRONT_COVER = 3  # picture type of ID3v2 (section 4.14) and FLAC (RFC 9639, section 8.8)
OGG_FIELD = "METADATA_BLOCK_PICTURE"
_BITS_PER_PIXEL = 24
_MEDIA_TYPES = {"mjpeg": "image/jpeg", "png": "image/png"}


@dataclass(frozen=True, kw_only=True)
class Cover:
    """A JPEG or PNG picture as it lies in the file."""

    codec: str  # FFmpeg's name: "mjpeg" or "png"
    data: bytes
    width: int  # pixels; 0 when unknown
    height: int

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self.codec]


def read_cover(source: Path | BinaryIO) -> Cover | None:
    """Return the first attached JPEG or PNG picture of a file, None when it has none of at most `MAX_COVER_BYTES`."""
    with Source(source) as opened:
        cover = None
        try:
            with open_container(opened, is_for_sound=False) as container:
                for stream in container.streams.video:
                    codec = stream.codec_context
                    if not is_cover(stream) or codec.name not in _MEDIA_TYPES:
                        continue
                    data = bytes(next(container.demux(stream)))
                    if 0 < len(data) <= MAX_COVER_BYTES:
                        cover = Cover(codec=codec.name, data=data, width=codec.width, height=codec.height)
                        break
        except (av.error.FFmpegError, EOFError, ValueError, IndexError, StopIteration):
            cover = None
        opened.raise_failure()
    return cover


def picture_block(cover: Cover) -> bytes:
    """The picture in the form of FLAC (RFC 9639, section 8.8), without the block's own header."""
    media_type = cover.media_type.encode()
    return b"".join(
        [
            struct.pack(">II", FRONT_COVER, len(media_type)),
            media_type,
            struct.pack(">I", 0),  # no description
            struct.pack(">IIII", cover.width, cover.height, _BITS_PER_PIXEL, 0),  # 0: no palette
            struct.pack(">I", len(cover.data)),
            cover.data,
        ]
    )


def ogg_comment(cover: Cover) -> str:
    """The value of OGG_FIELD in the comments of Vorbis and Opus."""
    return base64.b64encode(picture_block(cover)).decode("ascii")

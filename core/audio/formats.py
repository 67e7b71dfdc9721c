"""What is known of file formats: how each is recognised, named, and which sample format an output should have."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import InvalidOptions

MIN_SAMPLE_RATE = 1_000  # Hz; below it nothing that can be called speech or music is left
MAX_SAMPLE_RATE = 768_000  # Hz; the highest rate that audio converters use
MAX_CHANNELS = 64
MAX_SHOWN_NAME = 80

READABLE_FORMATS = "WAV, AIFF, FLAC, OGG, Opus, MP3, AAC, M4A, WebM, or the sound track of MP4, MKV and other video"


@dataclass(frozen=True, kw_only=True)
class AudioProbe:
    """What a file says about its sound, checked by decoding its first samples.

    `format` is the container ("wav", "rf64", "flac", "ogg", "mp3", "mp4"), `codec` what is inside ("pcm", "vorbis").
    `frames` is exact where the format states the count, else None; `duration_s` may be an estimate (MP3 without a
    length tag, raw AAC) and is None when the file does not say. `subtype` is the depth of the source: PCM_U8, PCM_16,
    PCM_24, PCM_32, FLOAT, DOUBLE, or the name of the lossy codec (VORBIS, OPUS, AAC).
    """

    format: str
    codec: str
    sample_rate: int  # Hz
    channels: int
    frames: int | None
    duration_s: float | None
    subtype: str
    is_lossy: bool
    media_type: str
    tracks: int = 1  # of sound


_OUTPUT_FORMATS = {
    "wav": ("audio/wav", ".wav"),
    "flac": ("audio/flac", ".flac"),
    "mp3": ("audio/mpeg", ".mp3"),
    "m4a": ("audio/mp4", ".m4a"),
    "opus": ("audio/ogg", ".opus"),
    "ogg": ("audio/ogg", ".ogg"),
}
OUTPUT_FORMATS = tuple(_OUTPUT_FORMATS)
LOSSY_OUTPUT_FORMATS = frozenset({"mp3", "m4a", "opus", "ogg"})
PCM_SUBTYPES = ("PCM_16", "PCM_24", "FLOAT")

_INPUT_MEDIA_TYPES = {
    "wav": "audio/wav",
    "rf64": "audio/wav",
    "w64": "audio/x-w64",
    "aiff": "audio/aiff",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "mp4": "audio/mp4",
    "webm": "audio/webm",
    "matroska": "audio/x-matroska",
    "amr": "audio/amr",
    "asf": "audio/x-ms-wma",
    "ac3": "audio/ac3",
    "eac3": "audio/eac3",
    "mpegts": "video/mp2t",
    "mpeg": "video/mpeg",
    "avi": "video/x-msvideo",
    "flv": "video/x-flv",
}
_VIDEO_MEDIA_TYPES = {"mp4": "video/mp4", "webm": "video/webm", "matroska": "video/x-matroska", "asf": "video/x-ms-wmv"}

# (offset, magic) pairs that must all match; the first row that does names the container.
_SIGNATURES: tuple[tuple[str, tuple[tuple[int, bytes], ...]], ...] = (
    ("wav", ((0, b"RIFF"), (8, b"WAVE"))),
    ("rf64", ((0, b"RF64"), (8, b"WAVE"))),
    ("rf64", ((0, b"BW64"), (8, b"WAVE"))),
    ("avi", ((0, b"RIFF"), (8, b"AVI "))),
    ("w64", ((0, b"riff\x2e\x91\xcf\x11"),)),
    ("aiff", ((0, b"FORM"), (8, b"AIFF"))),
    ("aiff", ((0, b"FORM"), (8, b"AIFC"))),
    ("flac", ((0, b"fLaC"),)),
    ("ogg", ((0, b"OggS"),)),
    ("au", ((0, b".snd"),)),
    ("caf", ((0, b"caff"),)),
    ("mp4", ((4, b"ftyp"),)),
    ("mp3", ((0, b"ID3"),)),
    ("amr", ((0, b"#!AMR"),)),
    ("asf", ((0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),)),
    ("flv", ((0, b"FLV\x01"),)),
)
_EBML = b"\x1a\x45\xdf\xa3"
SNIFF_BYTES = 64


def shown_name(name: str) -> str:
    """Return how a message calls the file: its last path component in quotes, made safe, or "The file"."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(character for character in last if character.isprintable())[:MAX_SHOWN_NAME]
    return f"“{printable}”" if printable else "The file"


def sniff_container(head: bytes) -> str | None:
    """Return the container that the first `SNIFF_BYTES` of a file announce, None when they announce nothing known.

    Bare MPEG frames (MP3, AAC without a header) are recognised by their 11 or 12 sync bits, which other data can hold
    by chance: the answer is a claim of the file, not a proof.
    """
    for container, marks in _SIGNATURES:
        if all(head[offset : offset + len(magic)] == magic for offset, magic in marks):
            return container
    if head.startswith(_EBML):
        return "webm" if b"webm" in head[:SNIFF_BYTES] else "matroska"
    if len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        layer = head[1] >> 1 & 0b11
        return "aac" if layer == 0 and head[1] & 0xF0 == 0xF0 else "mp3" if layer else None
    return None


def media_type_of_input(container: str, *, has_video: bool = False) -> str:
    """Return the media type of a file that was read; `application/octet-stream` for a container without one."""
    if has_video and container in _VIDEO_MEDIA_TYPES:
        return _VIDEO_MEDIA_TYPES[container]
    return _INPUT_MEDIA_TYPES.get(container, "application/octet-stream")


def require_output_format(name: str) -> None:
    """Raise InvalidOptions unless `name` is a format that Limpid writes."""
    if name not in _OUTPUT_FORMATS:
        raise InvalidOptions(f"format {name!r} cannot be written; choose one of {', '.join(OUTPUT_FORMATS)}")


def media_type_for(name: str) -> str:
    """Return the media type of an output format; InvalidOptions for one that is not written."""
    require_output_format(name)
    return _OUTPUT_FORMATS[name][0]


def extension_for(name: str) -> str:
    """Return the file name's end, dot included, of an output format; InvalidOptions for one that is not written."""
    require_output_format(name)
    return _OUTPUT_FORMATS[name][1]


def default_subtype(probe: AudioProbe) -> str:
    """Return the sample format of an output that keeps what the source holds: PCM_16, PCM_24 or FLOAT.

    16 bits or fewer and lossy sources give PCM_16; 24 bits PCM_24; float and double FLOAT. 32-bit integers give PCM_24:
    no converter resolves more, processing is in float32 with its 24-bit significand, and FLOAT would change the kind.
    """
    if probe.is_lossy:
        return "PCM_16"
    if probe.subtype in ("FLOAT", "DOUBLE"):
        return "FLOAT"
    return "PCM_24" if probe.subtype in ("PCM_24", "PCM_32") else "PCM_16"

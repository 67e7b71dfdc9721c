"""Files that no decoder should be given: mutations of every format that we read, bombs, and headers that lie."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
import soundfile

SAMPLE_RATE = 16_000
SEED_FRAMES = 6_000
_SNDFILE_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
_FFMPEG_FORMATS = (  # muxer, encoder
    ("adts", "aac"),
    ("mp4", "aac"),
    ("mp4", "alac"),
    ("mp4", "flac"),
    ("mov", "pcm_s24be"),
    ("matroska", "libopus"),
    ("matroska", "pcm_s16le"),
    ("webm", "libopus"),
    ("webm", "libvorbis"),
    ("mpegts", "mp2"),
    ("mpeg", "mp2"),
    ("flv", "aac"),
    ("avi", "pcm_s16le"),
    ("asf", "wmav2"),
    ("ac3", "ac3"),
    ("eac3", "eac3"),
    ("wv", "wavpack"),
    ("tta", "tta"),
    ("nut", "pcm_s16le"),
    ("aiff", "pcm_s16be"),
    ("caf", "alac"),
    ("mp3", "libmp3lame"),
    ("ogg", "libopus"),
)
_EXTREMES = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True, kw_only=True)
class HostileFile:
    """One file, and what is wrong with it."""

    name: str
    content: bytes


def hostile_files(*, mutations: int, seed: int) -> Iterator[HostileFile]:
    """Every bomb and lie, then `mutations` damaged copies of whole files, spread over all formats; seeded."""
    yield from _lies()
    whole = seed_files()
    generator = np.random.default_rng(seed)
    for number in range(mutations):
        file = whole[number % len(whole)]
        other = whole[int(generator.integers(len(whole)))]
        kind, content = mutate(file.content, other.content, generator)
        yield HostileFile(name=f"{number:05d}-{kind}-{file.name}", content=content)


def seed_files() -> list[HostileFile]:
    """A whole recording in every format and coding that the libraries here can write."""
    wav = 0.1 * np.random.default_rng(0).standard_normal((SEED_FRAMES, 1))
    found = []
    for container in _SNDFILE_FORMATS:
        for subtype in soundfile.available_subtypes(container):
            buffer = io.BytesIO()
            rate = 48_000 if subtype == "OPUS" else SAMPLE_RATE
            try:
                soundfile.write(buffer, wav, rate, format=container, subtype=subtype)
            except (soundfile.LibsndfileError, ValueError):
                continue  # a coding that wants another rate or channel count
            found.append(HostileFile(name=f"{container}-{subtype}".lower(), content=buffer.getvalue()))
    with tempfile.TemporaryDirectory(prefix="limpid-hostile-") as folder:
        for muxer, codec in _FFMPEG_FORMATS:
            content = _encode(Path(folder, "seed"), wav, muxer=muxer, codec=codec)
            if content:
                found.append(HostileFile(name=f"{muxer}-{codec}", content=content))
    return found


def mutate(content: bytes, other: bytes, generator: np.random.Generator) -> tuple[str, bytes]:
    """What was done to a copy of `content`, and the copy."""
    damaged = bytearray(content)
    start = int(generator.integers(len(damaged)))
    length = int(generator.integers(1, 2_000))
    kind = ("cut", "hole", "header", "noise", "twice", "splice", "extreme", "flip")[int(generator.integers(8))]
    if kind == "cut":
        del damaged[start:]
    elif kind == "hole":
        del damaged[start : start + length]
    elif kind == "header":
        _overwrite(damaged, min(len(damaged), 300), generator)
    elif kind == "noise":
        _overwrite(damaged, len(damaged), generator)
    elif kind == "twice":
        damaged[start:start] = damaged[start : start + length]
    elif kind == "splice":
        damaged[start:] = other[int(generator.integers(len(other))) :]
    elif kind == "extreme":
        order = ("<", ">")[int(generator.integers(2))]
        for _ in range(int(generator.integers(1, 4))):
            position = int(generator.integers(min(len(damaged), 400)))
            damaged[position : position + 4] = struct.pack(f"{order}I", _EXTREMES[int(generator.integers(8))])
    else:
        for position in generator.integers(len(damaged), size=int(generator.integers(1, 9))):
            damaged[position] ^= 1 << int(generator.integers(8))
    return kind, bytes(damaged)


def _overwrite(damaged: bytearray, reach: int, generator: np.random.Generator) -> None:
    for position in generator.integers(reach, size=int(generator.integers(1, 30))):
        damaged[position] = int(generator.integers(256))


def _encode(path: Path, wav: np.ndarray, *, muxer: str, codec: str) -> bytes:
    """The recording as FFmpeg writes it; empty when this build has no such encoder."""
    rate = 48_000
    try:
        with av.open(str(path), "w", format=muxer) as container:
            stream = container.add_stream(codec, rate=rate, layout="mono")
            if not isinstance(stream, av.AudioStream):
                return b""
            stream.bit_rate = 64_000
            samples = np.ascontiguousarray(wav.T, dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
            frame.sample_rate = rate
            frame.pts = 0
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    except (av.error.FFmpegError, ValueError):
        return b""
    return path.read_bytes()


def wave_file(
    *, channels: int = 1, sample_rate: int = SAMPLE_RATE, bits: int = 16, tag: int = 1, data: bytes = bytes(200),
    declared: int | None = None, block: int | None = None,
) -> bytes:  # fmt: skip
    """A WAV whose header says whatever it is told to."""
    block = channels * bits // 8 if block is None else block
    layout = struct.pack("<HHIIHH", tag, channels, sample_rate, 0xFFFFFFFF & sample_rate * block, block & 0xFFFF, bits)
    size = len(data) if declared is None else declared
    head = b"RIFF" + struct.pack("<I", 0xFFFFFFFF & 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + layout
    return head + b"data" + struct.pack("<I", 0xFFFFFFFF & size) + data


def flac_bomb(*, blocks: int) -> bytes:
    """Silence of 65,535 samples for every 10 to 13 bytes, and a header that does not say how long it is."""
    info = struct.pack(">HH", 65_535, 65_535) + bytes(6)  # block sizes; frame sizes unknown
    packed = 48_000 << 44 | 0 << 41 | 15 << 36  # rate, one channel, 16 bits, total samples 0: unknown
    head = b"fLaC" + bytes([0x80]) + (34).to_bytes(3, "big") + info + packed.to_bytes(8, "big") + bytes(16)
    frames = []
    for number in range(blocks):
        frame = bytes([0xFF, 0xF8, 0x7A, 0x08]) + _coded_number(number) + struct.pack(">H", 65_534)
        frame += bytes([_crc8(frame)]) + bytes([0x00, 0x00, 0x00])  # subframe CONSTANT, value 0
        frames.append(frame + struct.pack(">H", _crc16(frame)))
    return head + b"".join(frames)


def _coded_number(value: int) -> bytes:
    """A frame's number as FLAC codes it, which is how UTF-8 codes a character."""
    if value < 0x80:
        return bytes([value])
    tail: list[int] = []
    lead_bits = 6
    while value >= 1 << lead_bits:
        tail.insert(0, 0x80 | value & 0x3F)
        value >>= 6
        lead_bits -= 1
    return bytes([0xFF & ~((1 << lead_bits + 1) - 1) | value, *tail])


def _crc8(data: bytes) -> int:
    return _crc(data, bits=8, polynomial=0x07)


def _crc16(data: bytes) -> int:
    return _crc(data, bits=16, polynomial=0x8005)


def _crc(data: bytes, *, bits: int, polynomial: int) -> int:
    value = 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value >> bits - 1 else value << 1) & (1 << bits) - 1
    return value


def _lies() -> Iterator[HostileFile]:
    """Files made by hand, each against one weakness."""
    chunks = b"".join(b"junk" + struct.pack("<I", 0) for _ in range(100_000))
    loop = b"RIFF" + struct.pack("<I", 100) + b"WAVE" + b"LIST" + struct.pack("<I", 0xFFFFFFF8) + bytes(64)
    atom = b"".join(struct.pack(">I", 0x7FFFFFFF) + b"moov" for _ in range(5_000))
    table = struct.pack(">I", 16) + b"stsz" + struct.pack(">II", 0, 0xFFFFFFFF)
    typed = struct.pack(">I", 16) + b"ftypisom" + bytes(4)
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    deflated = zlib.compress(bytes(50_000_000), 9)
    contents = {
        "empty": b"",
        "one-byte": b"\0",
        "zeros": bytes(1_000_000),
        "ones": b"\xff" * 1_000_000,
        "noise": np.random.default_rng(1).bytes(1_000_000),
        "text": b"words, not sound. " * 1_000,
        "html": b"<!doctype html><title>404</title>" * 50,
        "playlist-hls": playlist,
        "playlist-concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "playlist-sdp": b"v=0\nm=audio 5004 RTP/AVP 0\nc=IN IP4 127.0.0.1\n",
        "zip-bomb": b"PK\x03\x04" + deflated,
        "gzip-bomb": b"\x1f\x8b\x08" + bytes(7) + deflated,
        "png": b"\x89PNG\r\n\x1a\n" + bytes(500),
        "wav-no-channels": wave_file(channels=0, block=0),
        "wav-65535-channels": wave_file(channels=65_535, block=0),
        "wav-rate-0": wave_file(sample_rate=0),
        "wav-rate-max": wave_file(sample_rate=0xFFFFFFFF),
        "wav-bits-0": wave_file(bits=0),
        "wav-bits-65535": wave_file(bits=65_528, block=0),
        "wav-block-0": wave_file(block=0),
        "wav-declares-4-gib": wave_file(declared=0xFFFFFFFE),
        "wav-declares-nothing": wave_file(declared=0),
        "wav-64-channels-768-khz": wave_file(channels=64, sample_rate=768_000, data=bytes(1_000_000)),
        "wav-nan": wave_file(tag=3, bits=32, data=b"\xff\xff\xff\xff" * 500),
        "wav-infinite": wave_file(tag=3, bits=32, data=struct.pack("<f", float("inf")) * 500),
        "wav-unknown-tag": wave_file(tag=0xABCD),
        "wav-chunks": b"RIFF\xff\xff\xff\xffWAVE" + chunks,
        "wav-chunk-loop": loop,
        "rf64-absurd": b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, 2**63, 2**63, 2**63, 0xFFFFFFFF),
        "w64-absurd": bytes.fromhex("726966662e91cf11a5d628db04c10000") + b"\xff" * 200,
        "aiff-absurd": b"FORM\xff\xff\xff\xffAIFFCOMM" + struct.pack(">IhIh", 18, 1, 0xFFFFFFFF, 16) + b"\x7f\xff" * 5,
        "au-absurd": struct.pack(">4sIIIII", b".snd", 0xFFFFFFFF, 0xFFFFFFFF, 3, 0xFFFFFFFF, 0xFFFFFFFF),
        "caf-absurd": b"caff\0\1\0\0desc" + struct.pack(">q", 2**62) + bytes(100),
        "flac-metadata": b"fLaC" + b"\x04\xff\xff\xff" + struct.pack("<I", 0xFFFFFFFF) + bytes(1_000),
        "flac-bomb": flac_bomb(blocks=3_000),
        "ogg-pages": b"".join(b"OggS\0\0" + bytes(20) + b"\xff" * 256 for _ in range(500)),
        "id3-huge": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(5_000),
        "id3-only": b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + b"\xff\xfb\x90\x00" * 4,
        "mp4-nested": typed + atom,
        "mp4-table": typed + struct.pack(">I", 24) + b"moov" + table,
        "mp4-size-0": typed + struct.pack(">I", 0) + b"mdat" + bytes(1_000),
        "matroska-sizes": b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe" + b"\x18\x53\x80\x67\x01" + b"\xff" * 400,
        "asf-sizes": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 400,
        "flv-endless": b"FLV\x01\x05\0\0\0\x09" + b"\0\0\0\0\x08\xff\xff\xff" * 500,
    }
    for name, content in contents.items():
        yield HostileFile(name=name, content=content)

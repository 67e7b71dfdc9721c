"""Writing audio as a stream of (C, T) float32 blocks: WAV (RF64 past 4 GiB), FLAC, and lossy formats on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from core.audio.cover import MAX_COVER_BYTES, Cover
from core.audio.formats import PCM_SUBTYPES, require_output_format
from core.audio.pyav_writer import PyAvWriter
from core.audio.resample import StreamResampler, expected_frames
from core.audio.sndfile_writer import SndfileWriter
from core.audio.tag_writer import complete_tags
from core.audio.types import FloatArray
from core.errors import InvalidOptions

# Sizes in a RIFF header are 32 bits wide; the margin is for the header itself, tags and the largest cover.
MAX_RIFF_DATA_BYTES = 2**32 - 2**20 - MAX_COVER_BYTES
LOSSY_PIECE_FRAMES = 16_384  # libvorbis recurses over what it is given at once: a recording overflows the stack
PIECE_FRAMES = 131_072
LOSSLESS_FORMATS = frozenset({"wav", "flac"})
SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}

_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_AAC_RATES = (*_MP3_RATES, 64_000, 88_200, 96_000)
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)


@dataclass(frozen=True, kw_only=True)
class FormatLimits:
    """What a format can hold.

    `rates` None: any rate up to `max_rate`; otherwise a rate that is not among them is converted to the next one.
    """

    subtypes: tuple[str, ...]
    max_channels: int
    max_rate: int
    rates: tuple[int, ...] | None = None


# FLAC: RFC 9639, section 9.1. MP3: ISO 11172-3 and 13818-3. AAC: ISO 14496-3, the rates of its index table. Opus:
# RFC 7845; more than 8 channels have no standard order. Vorbis: the rates that libvorbis has settings for.
LIMITS: Mapping[str, FormatLimits] = {
    "wav": FormatLimits(subtypes=PCM_SUBTYPES, max_channels=64, max_rate=768_000),
    "flac": FormatLimits(subtypes=("PCM_16", "PCM_24"), max_channels=8, max_rate=655_350),
    "mp3": FormatLimits(subtypes=PCM_SUBTYPES, max_channels=2, max_rate=768_000, rates=_MP3_RATES),
    "m4a": FormatLimits(subtypes=PCM_SUBTYPES, max_channels=8, max_rate=768_000, rates=_AAC_RATES),
    "opus": FormatLimits(subtypes=PCM_SUBTYPES, max_channels=8, max_rate=768_000, rates=_OPUS_RATES),
    "ogg": FormatLimits(subtypes=PCM_SUBTYPES, max_channels=8, max_rate=192_000),
}


class Encoder(Protocol):
    """A library that has a file open for writing."""

    def write(self, wav: FloatArray) -> None: ...

    def close(self) -> None: ...


def check_encodable(format: str, *, sample_rate: int, channels: int, subtype: str) -> None:
    """Raise InvalidOptions when `format` cannot hold such a signal; the message names the value and the limit."""
    require_output_format(format)
    limits = LIMITS[format]
    label = format.upper()
    if subtype not in PCM_SUBTYPES:
        raise InvalidOptions(f"subtype {subtype!r} is unknown; choose one of {', '.join(PCM_SUBTYPES)}")
    if subtype not in limits.subtypes:
        raise InvalidOptions(
            f"{label} has no subtype {subtype}; choose {' or '.join(limits.subtypes)}, or WAV for float samples"
        )
    if not 1 <= channels <= limits.max_channels:
        raise InvalidOptions(f"{label} holds 1 to {limits.max_channels} channels, not {channels}; choose WAV")
    if not 1 <= sample_rate <= limits.max_rate:
        raise InvalidOptions(f"{label} holds sample rates up to {limits.max_rate} Hz, not {sample_rate} Hz; choose WAV")


def encoded_rate(format: str, sample_rate: int) -> int:
    """Return the rate that the file has: `sample_rate`, or the next that the format knows, at most its highest."""
    require_output_format(format)
    rates = LIMITS[format].rates
    return sample_rate if rates is None else min((r for r in rates if r >= sample_rate), default=rates[-1])


def keeps_overs(format: str, subtype: str) -> bool:
    """True where samples beyond full scale stay as they are: in WAV with floats."""
    return format == "wav" and subtype == "FLOAT"


class AudioWriter:
    """Writes one file block by block; `frames_written` and `clipped_samples` say what went in.

    `format` is one of formats.OUTPUT_FORMATS, `subtype` PCM_16, PCM_24 or FLOAT (lossy formats ignore it). `frames`,
    the exact count where it is known, lets a WAV past 4 GiB become RF64, which cannot be decided later. FLOAT keeps
    samples beyond full scale; everything else clips them (never wraps) and counts them in `clipped_samples`. Integers
    are rounded so that decoding a file of the same depth and writing it again gives the same samples.

    Rounding is undithered by default: restored recordings carry noise of their own that dithers them, an untouched
    sample stays bit-exact, and digital silence stays silent. `dither_seed` turns on triangular (TPDF) dither of 1 LSB
    peak each way at PCM_16, the same for the same seed.

    `tags` and `cover` are written as each format holds them, in WAV the cover by a chunk of ID3.

    `sample_rate` of the instance is the file's: MP3, M4A and Opus know some rates only, see `encoded_rate`. Opus, M4A
    and OGG end on the exact frame for players that honour their length fields.

    Raises InvalidOptions for what the format cannot hold, InsufficientDisk when the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        format: str,
        *,
        sample_rate: int,
        channels: int,
        subtype: str = "PCM_16",
        frames: int | None = None,
        tags: Mapping[str, str] | None = None,
        cover: Cover | None = None,
        dither_seed: int | None = None,
    ) -> None:
        check_encodable(format, sample_rate=sample_rate, channels=channels, subtype=subtype)
        self.sample_rate = encoded_rate(format, sample_rate)
        self.channels = channels
        self.frames_written = 0
        self.clipped_samples = 0
        self._keeps_overs = keeps_overs(format, subtype)
        self._input_rate = sample_rate
        self._resampler = StreamResampler(sample_rate, self.sample_rate, channels=channels)
        self._frames_encoded = 0
        self._piece_frames = PIECE_FRAMES if format in LOSSLESS_FORMATS else LOSSY_PIECE_FRAMES
        self._max_frames: int | None = None
        container = format
        if format == "wav":
            riff_frames = MAX_RIFF_DATA_BYTES // (SAMPLE_BYTES[subtype] * channels)
            container = "rf64" if (frames or 0) > riff_frames else "wav"
            self._max_frames = riff_frames if container == "wav" else None
        self._path, self._format = path, format
        self._cover, self._tags = cover, tags or {}
        self._encoder: Encoder | None
        if format in ("m4a", "opus"):
            self._encoder = PyAvWriter(
                path, format, sample_rate=self.sample_rate, channels=channels, tags=tags or {}, cover=cover
            )
        else:
            dither = None if dither_seed is None or subtype != "PCM_16" else np.random.default_rng(dither_seed)
            self._encoder = SndfileWriter(
                path,
                container,
                sample_rate=self.sample_rate,
                channels=channels,
                subtype=subtype,
                tags=tags or {},
                dither=dither,
            )

    def write(self, wav: FloatArray) -> None:
        """Append `wav` (C, T), finite, full scale [-1, 1)."""
        if wav.ndim != 2 or wav.shape[0] != self.channels:
            raise ValueError(f"expected ({self.channels}, T), got {wav.shape}")
        self.frames_written += wav.shape[-1]
        if self._max_frames is not None and self.frames_written > self._max_frames:
            raise InvalidOptions("a WAV beyond 4 GiB must be opened with its frame count, so that it becomes RF64")
        self._encode(self._resampler.process(np.asarray(wav, np.float32)))

    def close(self) -> None:
        """Finish the file; further calls do nothing."""
        if self._encoder is None:
            return
        try:
            missing = expected_frames(self.frames_written, self._input_rate, self.sample_rate) - self._frames_encoded
            self._encode(self._resampler.flush()[:, : max(0, missing)])
        finally:
            encoder, self._encoder = self._encoder, None
            encoder.close()
        complete_tags(self._path, self._format, cover=self._cover, tags=self._tags)

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, wav: FloatArray) -> None:
        if self._encoder is None:
            raise ValueError("the writer is closed")
        if not self._keeps_overs and max(wav.max(initial=0.0), -wav.min(initial=0.0)) > 1.0:
            self.clipped_samples += int(np.count_nonzero(np.abs(wav) > 1.0))
            wav = np.clip(wav, -1.0, 1.0)
        self._frames_encoded += wav.shape[-1]
        for start in range(0, wav.shape[-1], self._piece_frames):
            self._encoder.write(wav[:, start : start + self._piece_frames])


def write_blocks(writer: AudioWriter, blocks: Iterable[FloatArray]) -> None:
    """Write all of `blocks` and finish the file."""
    with writer:
        for block in blocks:
            writer.write(block)

"""Reading audio of any format as a stream of (C, T) float32 blocks, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

import numpy as np

from core.audio import sndfile
from core.audio.formats import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    READABLE_FORMATS,
    SNIFF_BYTES,
    AudioProbe,
    shown_name,
    sniff_container,
)
from core.audio.headers import read_wave_header
from core.audio.pyav import NO_SOUND_TRACK, PyAvDecoder
from core.audio.sndfile import SndfileDecoder
from core.audio.source import Source
from core.audio.types import FloatArray
from core.errors import InvalidAudio, UnsupportedMedia

BLOCK_FRAMES = 65_536


class Decoder(Protocol):
    """A library that has opened a file and decoded its first samples."""

    probe: AudioProbe
    warning: str | None

    def pieces(self) -> Iterator[FloatArray]: ...

    def close(self) -> None: ...


def open_decoder(source: Source, *, name: str = "", track: int = 1) -> Decoder:
    """Return a decoder for `source`: libsndfile for the formats it reads exactly, FFmpeg for the rest.

    `track` is the sound track, from 1; InvalidOptions when there is no such one. Raises UnsupportedMedia when the bytes
    are no audio, InvalidAudio when they are and hold nothing that can be used, and whatever reading `source` raised.
    """
    subject = shown_name(name)
    if source.size_bytes == 0:
        raise UnsupportedMedia(f"{subject} is empty (0 bytes).")
    container = sniff_container(source.read_at(0, SNIFF_BYTES))
    header = read_wave_header(source)
    source.raise_failure()
    if header is not None:
        check_limits(header.sample_rate, header.channels, subject=subject)
    refusals: list[InvalidAudio | UnsupportedMedia] = []
    backends: list[Callable[[], Decoder]] = [partial(PyAvDecoder, source, container, track=track)]
    if container in sndfile.CONTAINERS and track == 1:  # what libsndfile reads has one track
        backends.insert(0, partial(SndfileDecoder, source, container))
    for open_backend in backends:
        try:
            decoder = open_backend()
        except (InvalidAudio, UnsupportedMedia) as error:
            source.raise_failure()
            refusals.append(error)
            continue
        try:
            source.raise_failure()
            check_limits(decoder.probe.sample_rate, decoder.probe.channels, subject=subject)
        except Exception:
            decoder.close()
            raise
        return decoder
    raise _verdict(refusals, container, subject=subject)


def _verdict(
    refusals: list[InvalidAudio | UnsupportedMedia], container: str | None, *, subject: str
) -> InvalidAudio | UnsupportedMedia:
    """Return the error that says most: what a library found wrong, if the file is of a known kind at all."""
    if container is None:
        # FFmpeg takes random bytes for MPEG frames now and then, so its finding nothing in them is no finding.
        return next(
            (InvalidAudio(f"{subject} {error}.") for error in refusals if str(error) == NO_SOUND_TRACK),
            UnsupportedMedia(f"{subject} is not audio that Limpid can read ({READABLE_FORMATS})."),
        )
    for error in refusals:
        if isinstance(error, InvalidAudio):
            return InvalidAudio(f"{subject} {error}.")
    return InvalidAudio(f"{subject} begins like {container.upper()}, but it is damaged or incomplete.")


def check_limits(sample_rate: int, channels: int, *, subject: str) -> None:
    """Raise InvalidAudio for a sample rate or channel count that no recording has."""
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise InvalidAudio(
            f"{subject} states a sample rate of {sample_rate} Hz; "
            f"Limpid reads {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz."
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise InvalidAudio(f"{subject} states {channels} channels; Limpid reads 1 to {MAX_CHANNELS}.")


class DecoderOpener(Protocol):
    """`open_decoder`, or core.audio.isolation.IsolatedDecoder."""

    def __call__(self, source: Source, *, name: str, track: int) -> Decoder: ...


class AudioReader:
    """Reads the sound of a file block by block: `with AudioReader(path) as reader: for wav in reader.blocks(): ...`.

    Integers come scaled to [-1, 1), floats as they are, beyond full scale too. `probe`, `sample_rate` and `channels`
    are known at once, `frames_read` and `warning` (text for the user, None when all is well) after the last block.
    Errors are those of `open_with`; `blocks` raises InvalidAudio for samples that are not finite.
    """

    def __init__(
        self,
        source: Path | BinaryIO,
        *,
        block_frames: int = BLOCK_FRAMES,
        name: str = "",
        track: int = 1,
        open_with: DecoderOpener = open_decoder,
    ) -> None:
        if block_frames < 1:
            raise ValueError(f"block_frames ({block_frames}) must be at least 1")
        self._subject = shown_name(name)
        self._block_frames = block_frames
        self._source = Source(source)
        try:
            self._decoder = open_with(self._source, name=name, track=track)
        except Exception:
            self._source.close()
            raise
        self.probe = self._decoder.probe
        self.sample_rate = self.probe.sample_rate
        self.channels = self.probe.channels
        self.frames_read = 0

    @property
    def warning(self) -> str | None:
        """What went wrong although sound could be decoded: it ended early, or packets were damaged."""
        return self._decoder.warning

    def blocks(self) -> Iterator[FloatArray]:
        """Yield all samples once, in order, as (C, `block_frames`) arrays; the last one may be shorter."""
        for block in gather_blocks(self._decoder.pieces(), block_frames=self._block_frames):
            self._source.raise_failure()
            self._check_finite(block)
            self.frames_read += block.shape[-1]
            yield block
        self._source.raise_failure()

    def close(self) -> None:
        self._decoder.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_finite(self, block: FloatArray) -> None:
        finite = np.isfinite(block)
        if finite.all():
            return
        bad = int(finite.size - np.count_nonzero(finite))
        first_s = (self.frames_read + int(np.argmin(finite.all(axis=0)))) / self.sample_rate
        raise InvalidAudio(
            f"{self._subject} holds samples that are no numbers (NaN or infinity): "
            f"{bad} in one block, the first at {first_s:.3f} s."
        )


def gather_blocks(pieces: Iterable[FloatArray], *, block_frames: int) -> Iterator[FloatArray]:
    """Yield the samples of `pieces` (C, T) in blocks of exactly `block_frames`, the last one with what is left."""
    held: list[FloatArray] = []
    held_frames = 0
    for piece in pieces:
        held.append(piece)
        held_frames += piece.shape[-1]
        if held_frames < block_frames:
            continue
        joined = np.concatenate(held, axis=-1) if len(held) > 1 else piece
        whole = held_frames - held_frames % block_frames
        for start in range(0, whole, block_frames):
            yield np.ascontiguousarray(joined[:, start : start + block_frames])
        held_frames -= whole
        held = [joined[:, whole:]] if held_frames else []
    if held_frames:
        yield np.concatenate(held, axis=-1)


def decode_blocks(path: Path, *, block_frames: int = BLOCK_FRAMES) -> Iterator[FloatArray]:
    """Yield the sound of `path` as (C, T) blocks; `AudioReader` where its facts or warning are wanted."""
    with AudioReader(path, block_frames=block_frames) as reader:
        yield from reader.blocks()

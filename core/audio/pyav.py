"""FFmpeg, through PyAV, as a decoder: MP3, AAC, M4A, WebM, AMR, WMA and the sound track of video."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO, cast

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from core.audio.formats import AudioProbe, media_type_of_input
from core.audio.headers import has_mp3_length, read_mp4_timescale, truncation_warning
from core.audio.mpeg_frames import lacks_mp3_end
from core.audio.source import Source
from core.audio.types import FloatArray
from core.errors import InvalidAudio, InvalidOptions, UnsupportedMedia

# A playlist (HLS, DASH, concat, SDP) makes FFmpeg open other files and addresses: only self-contained formats may open.
DEMUXERS = (
    "aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,nut,ogg,"
    "rm,tta,voc,w64,wav,wv"
)
_CONTAINER_NAMES = {"mov": "mp4", "amrnb": "amr", "amrwb": "amr"}
_FRAME_SUBTYPES = {"u8": "PCM_U8", "s16": "PCM_16", "s32": "PCM_24", "s64": "PCM_32", "flt": "FLOAT", "dbl": "DOUBLE"}
MAX_DAMAGED_LEAD_PACKETS = 10_000  # what is damaged for so long from its start is not read through
MAX_PLANES = 8
NO_SOUND_TRACK = "holds no sound track"
# A stated duration is rounded to the container's clock and may count the encoder's padding.
DURATION_TOLERANCE_S = 0.1


class PyAvDecoder:
    """Decodes audio track `track` (from 1) of a `Source`; the first frame is decoded at once, so that an instance means
    sound. InvalidOptions when there is no such track.

    FFmpeg takes out the encoder's delay where the container states it (MP4 edit list, LAME and Opus headers); raw AAC
    and MPEG transport streams state none, so theirs stays. The rate and channel count are those of the first decoded
    frame, since headers are wrong for HE-AAC; a later change is converted to them. Errors are predicates, see
    `SndfileDecoder`.
    """

    def __init__(self, source: Source, container: str | None, *, track: int = 1) -> None:
        self._has_exact_duration = container not in ("mp3", "aac") or has_mp3_length(source)
        self._lacks_end = container == "mp3" and lacks_mp3_end(source)
        mp4_timescale = read_mp4_timescale(source)
        source.seek(0)
        try:
            opened = open_container(source)
        except (av.error.FFmpegError, EOFError, ValueError) as error:
            raise UnsupportedMedia("is not audio that FFmpeg knows") from error
        self._container = opened
        if not opened.streams.audio:
            opened.close()
            raise InvalidAudio(NO_SOUND_TRACK)
        self._tracks = len(opened.streams.audio)
        if track > self._tracks:
            opened.close()
            raise no_such_track(track, tracks=self._tracks)
        self._stream = opened.streams.audio[track - 1]
        self._resampler: AudioResampler | None = None
        self._converted_form: tuple[int, str, str] | None = None
        self._damaged_packets = 0
        self.warning: str | None = None
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None:
            opened.close()
            raise InvalidAudio("holds no sound that could be decoded")
        self._first_frame = first
        self.sample_rate = first.sample_rate
        self.channels = first.layout.nb_channels
        # Most programs state the length in milliseconds, which would cut off sound.
        self._has_exact_end = mp4_timescale is not None and mp4_timescale % self.sample_rate == 0
        self.probe = self._describe(container)

    def pieces(self) -> Iterator[FloatArray]:
        """Yield the samples (C, T) in order; sets `warning` when packets were damaged or the sound ends early."""
        decoded = 0
        last: AudioFrame | None = None
        for frame in self._uniform_frames():
            if last is not None:
                yield frame_as_float(last)
            decoded += frame.samples
            last = frame
        if last is not None:
            padding = self._padding(decoded, last_frame=last.samples)
            decoded -= padding
            yield frame_as_float(last)[:, : last.samples - padding]
        decoded_s, declared_s = decoded / self.sample_rate, self._declared_s() or 0.0
        if self._has_exact_duration and decoded_s < declared_s - DURATION_TOLERANCE_S:
            self.warning = truncation_warning(decoded_s, declared_s)
        elif self._damaged_packets:
            self.warning = (
                f"The file is damaged: {self._damaged_packets} of its packets could not be decoded and were left out; "
                f"{decoded_s:.2f} s remain."
            )
        elif self._lacks_end:
            self.warning = f"The file may be cut short: its last frame, at {decoded_s:.2f} s, is not complete."

    def close(self) -> None:
        self._container.close()

    def _decode(self) -> Iterator[AudioFrame]:
        packets = self._container.demux(self._stream)
        has_sound = False
        while has_sound or self._damaged_packets < MAX_DAMAGED_LEAD_PACKETS:
            try:
                packet = next(packets, None)
            except IndexError:
                # PyAV fails on a packet of a stream that begins after the file was opened; it is not the one read here.
                packets = self._container.demux(self._stream)
                continue
            except (av.error.FFmpegError, EOFError):
                self._damaged_packets += 1
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, EOFError):
                self._damaged_packets += 1
                continue
            for frame in frames:
                if isinstance(frame, AudioFrame) and frame.samples:
                    has_sound = True
                    yield frame

    def _uniform_frames(self) -> Iterator[AudioFrame]:
        """Yield all frames at the rate and layout of the first one, those of another form converted."""
        for frame in chain([self._first_frame], self._frames):
            if not self._is_readable(frame):
                yield from self._convert(frame)
                continue
            yield from self._drain()
            yield frame
        yield from self._drain()

    def _is_readable(self, frame: AudioFrame) -> bool:
        # PyAV reads past its table of planes, and crashes, where a planar frame has as many channels as the table.
        is_planar = frame.format.is_planar and frame.layout.nb_channels >= MAX_PLANES
        return not is_planar and frame.sample_rate == self.sample_rate and frame.layout.nb_channels == self.channels

    def _convert(self, frame: AudioFrame) -> list[AudioFrame]:
        form = (frame.sample_rate, frame.layout.name, frame.format.name)
        drained = [] if form == self._converted_form else self._drain()
        if self._resampler is None:
            self._resampler = AudioResampler(format="flt", layout=self._first_frame.layout, rate=self.sample_rate)
            self._converted_form = form
        frame.pts = None
        try:
            return drained + self._resampler.resample(frame)
        except (av.error.FFmpegError, ValueError):
            # What a damaged stream claims to have become can be a form that no converter takes.
            self._resampler = None
            self._damaged_packets += 1
            return drained

    def _drain(self) -> list[AudioFrame]:
        """Return what the converter still holds, and drop it: it is bound to one form."""
        resampler, self._resampler = self._resampler, None
        return [] if resampler is None else resampler.resample(None)

    def _padding(self, decoded: int, *, last_frame: int) -> int:
        """How many samples of the last frame an MP4 does not count: AAC fills it up, and FFmpeg leaves it whole."""
        duration, time_base = self._stream.duration, self._stream.time_base
        if not self._has_exact_end or duration is None or time_base is None:
            return 0
        beyond = decoded - duration * time_base * self.sample_rate
        return int(beyond) if beyond.denominator == 1 and 0 < beyond < last_frame else 0

    def _declared_s(self) -> float | None:
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        return None if self._container.duration is None else self._container.duration / av.time_base

    def _describe(self, container: str | None) -> AudioProbe:
        demuxer = self._container.format.name.split(",")[0]
        name = container if container is not None and demuxer == "matroska" else _CONTAINER_NAMES.get(demuxer, demuxer)
        codec = self._stream.codec_context.codec
        codec_name = codec.canonical_name
        is_lossy = codec.lossy and not codec.lossless
        frame_format = self._first_frame.format.packed.name
        subtype = codec_name.upper() if is_lossy else _FRAME_SUBTYPES.get(frame_format, "PCM_24")
        return AudioProbe(
            format=name,
            codec="pcm" if codec_name.startswith("pcm_") and not is_lossy else codec_name,
            sample_rate=self.sample_rate,
            channels=self.channels,
            frames=None,
            duration_s=self._declared_s(),
            subtype=subtype,
            is_lossy=is_lossy,
            media_type=media_type_of_input(name, has_video=has_moving_picture(self._container)),
            tracks=self._tracks,
        )


def open_container(source: Source, *, is_for_sound: bool = True) -> InputContainer:
    """Open `source` with FFmpeg, self-contained formats only; what PyAV raises is left to the caller.

    Where it is not for the sound, FFmpeg does not look whether the samples of a WAV hide another codec (DTS, S/PDIF),
    which takes 12 ms of a long one.
    """
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
    if not is_for_sound:
        options["max_probe_packets"] = "1"
    return av.open(cast(BinaryIO, source), "r", options=options)


def has_moving_picture(container: InputContainer) -> bool:
    """True when the file is a video; a cover picture (one frame, marked as attached) does not count."""
    return not all(is_cover(stream) for stream in container.streams.video)


def is_cover(stream: VideoStream) -> bool:
    """True for a cover picture."""
    return Disposition.attached_pic in stream.disposition


def no_such_track(track: int, *, tracks: int) -> InvalidOptions:
    """The error for a sound track that a file does not have."""
    held = "one sound track" if tracks == 1 else f"{tracks} sound tracks"
    return InvalidOptions(f"track = {track}: the file holds {held}. Choose {'1' if tracks == 1 else f'1 to {tracks}'}.")


def frame_as_float(frame: AudioFrame) -> FloatArray:
    """Return the samples (C, T) of a decoded frame, planar or interleaved; integers are scaled to [-1, 1)."""
    samples: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        scaled = (samples.astype(np.float32) - 128) / 128
    elif np.issubdtype(samples.dtype, np.integer):
        scaled = samples / np.float64(2 ** (8 * samples.dtype.itemsize - 1))
    else:
        scaled = samples
    return np.ascontiguousarray(scaled, dtype=np.float32)

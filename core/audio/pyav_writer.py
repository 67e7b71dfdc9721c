"""FFmpeg, through PyAV, as an encoder: AAC in M4A, and Opus in OGG."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition

from core.audio.cover import OGG_FIELD, Cover, ogg_comment
from core.audio.types import FloatArray
from core.errors import InsufficientDisk, InvalidOptions

_MUXERS = {"m4a": "ipod", "opus": "ogg"}
_CODECS = {"m4a": "aac", "opus": "libopus"}
_TAG_NAMES = {"tracknumber": "track"}  # FFmpeg's own name, which M4A wants
_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
# FFmpeg's AAC encoder knows four channels as 4.0 only.
_AAC_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")
_BIT_RATE_PER_CHANNEL = {"m4a": 96_000, "opus": 64_000}  # bit/s; transparent for speech, near it for music


class PyAvWriter:
    """Encodes blocks (C, T) within [-1, 1] to `path`; the channel order is the format's own."""

    def __init__(
        self,
        path: Path,
        format: str,
        *,
        sample_rate: int,
        channels: int,
        tags: Mapping[str, str],
        cover: Cover | None = None,
    ) -> None:
        layouts = _AAC_LAYOUTS if format == "m4a" else _LAYOUTS
        self._layout = layouts[channels - 1]
        self._sample_rate = sample_rate
        self._frames = 0
        # The file's clock at the sample rate makes the stated length exact; FFmpeg's own default is one millisecond.
        options = {"fflags": "+bitexact"} | ({"movie_timescale": str(sample_rate)} if format == "m4a" else {})
        muxer = _MUXERS[format]
        if format == "m4a" and cover is not None:
            # The muxer `ipod` takes no picture, `mp4` does; the brand makes its file an M4A.
            muxer, options = "mp4", options | {"brand": "M4A "}
        try:
            # Opened here, so that FFmpeg never reads a path as an address.
            self._file = path.open("wb")
        except OSError as error:
            raise InsufficientDisk("The output file could not be created.") from error
        try:
            self._container = av.open(cast(BinaryIO, self._file), "w", format=muxer, options=options)
            stream = self._container.add_stream(_CODECS[format], rate=sample_rate, layout=self._layout)
            self._stream = cast(AudioStream, stream)
            self._stream.codec_context.format = "fltp" if format == "m4a" else "flt"
            self._stream.codec_context.bit_rate = _BIT_RATE_PER_CHANNEL[format] * channels
            self._container.metadata.update({_TAG_NAMES.get(name, name): value for name, value in tags.items()})
            if cover is not None and format == "opus":
                self._container.metadata[OGG_FIELD] = ogg_comment(cover)
            self._stream.codec_context.open()
            if cover is not None and format == "m4a":
                self._mux_cover(cover)
        except (av.error.FFmpegError, ValueError) as error:
            self._file.close()
            raise InvalidOptions(
                f"{format.upper()} cannot be written with {channels} channels at {sample_rate} Hz; choose WAV"
            ) from error

    def _mux_cover(self, cover: Cover) -> None:
        stream = self._container.add_mux_stream(cover.codec, width=cover.width, height=cover.height)
        stream.disposition = Disposition.attached_pic
        packet = Packet(cover.data)
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        self._container.mux(packet)

    def write(self, wav: FloatArray) -> None:
        if not wav.shape[-1]:
            return
        # Interleaved, because PyAV cannot fill the planes of eight channels; the encoder's own format is converted to.
        interleaved = np.ascontiguousarray(wav.T, np.float32).reshape(1, -1)
        frame = AudioFrame.from_ndarray(interleaved, format="flt", layout=self._layout)
        frame.sample_rate = self._sample_rate
        frame.time_base = Fraction(1, self._sample_rate)
        frame.pts = self._frames
        self._frames += wav.shape[-1]
        self._mux(frame)

    def close(self) -> None:
        try:
            with self._file:
                self._mux(None)
                self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise InsufficientDisk("The output could not be written: the disk is full or not writable.") from error

    def _mux(self, frame: AudioFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError) as error:
            raise InsufficientDisk("The output could not be written: the disk is full or not writable.") from error

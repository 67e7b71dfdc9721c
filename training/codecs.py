"""Lossy codecs as recordings have been through them: encoded and decoded in memory, in place and of the same length."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
import soxr
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from core.audio.pyav import frame_as_float
from core.errors import InvalidOptions

FloatArray = NDArray[np.float32]
CodecName = Literal["mp3", "aac", "opus"]


@dataclass(frozen=True, kw_only=True)
class _Codec:
    """An encoder of FFmpeg, in a container that states the encoder's delay, so that the decoder takes it off again."""

    encoder: str
    container: str
    sample_format: str
    rates: tuple[int, ...]


_MPEG_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_CODECS: Mapping[CodecName, _Codec] = {
    "mp3": _Codec(encoder="libmp3lame", container="mp3", sample_format="fltp", rates=_MPEG_RATES),
    "aac": _Codec(encoder="aac", container="ipod", sample_format="fltp", rates=_MPEG_RATES),
    "opus": _Codec(
        encoder="libopus", container="ogg", sample_format="flt", rates=(8_000, 12_000, 16_000, 24_000, 48_000)
    ),
}
_LAYOUTS = {1: "mono", 2: "stereo"}


def through_codec(wav: FloatArray, codec: CodecName, *, bit_rate_bps: int, sample_rate: int) -> FloatArray:
    """Return `wav`, (T,) or (C, T) of one or two channels, encoded at `bit_rate_bps` in all and decoded again.

    What a decoder leaves out at the end is silence. A rate that the codec lacks is converted to its next higher one
    and back. InvalidOptions for more than two channels.
    """
    if wav.shape[-1] == 0:
        return wav
    channels = 1 if wav.ndim == 1 else wav.shape[0]
    if channels not in _LAYOUTS or wav.ndim > 2:
        raise InvalidOptions(f"Codecs take one or two channels, got {wav.shape}")
    description = _CODECS[codec]
    rate = next((rate for rate in description.rates if rate >= sample_rate), description.rates[-1])
    columns = np.atleast_2d(wav).T
    if rate != sample_rate:
        columns = soxr.resample(columns, sample_rate, rate)
    limited = np.clip(columns, -1.0, 1.0).astype(np.float32)
    encoded = _encode(limited, description, bit_rate_bps=bit_rate_bps, sample_rate=rate)
    decoded, decoded_rate = _decode(encoded)
    if decoded_rate != sample_rate:
        decoded = soxr.resample(decoded.T, decoded_rate, sample_rate).T
    missing = max(0, wav.shape[-1] - decoded.shape[-1])
    result = np.pad(decoded, ((0, 0), (0, missing)))[:, : wav.shape[-1]]
    return np.ascontiguousarray(result, np.float32).reshape(wav.shape)


def _encode(columns: FloatArray, codec: _Codec, *, bit_rate_bps: int, sample_rate: int) -> bytes:
    layout = _LAYOUTS[columns.shape[1]]
    file = io.BytesIO()
    with av.open(file, "w", format=codec.container) as container:
        stream = cast(AudioStream, container.add_stream(codec.encoder, rate=sample_rate, layout=layout))
        stream.codec_context.format = codec.sample_format
        stream.codec_context.bit_rate = bit_rate_bps
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(columns).reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = sample_rate
        frame.time_base = Fraction(1, sample_rate)
        frame.pts = 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


def _decode(encoded: bytes) -> tuple[FloatArray, int]:
    """Return the samples (C, T) and their rate, which for Opus is always 48 kHz."""
    with av.open(io.BytesIO(encoded), "r") as container:
        frames = list(container.decode(audio=0))
    return np.concatenate([frame_as_float(frame) for frame in frames], axis=-1), frames[0].sample_rate

"""libsndfile as an encoder: WAV, RF64, FLAC, MP3 and OGG Vorbis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from core.audio.types import FloatArray
from core.errors import InsufficientDisk

_CONTAINERS = {"wav": "WAV", "rf64": "RF64", "flac": "FLAC", "mp3": "MP3", "ogg": "OGG"}
_LOSSY_SUBTYPES = {"mp3": "MPEG_LAYER_III", "ogg": "VORBIS"}
_LEVELS = {"PCM_16": 2**15, "PCM_24": 2**23}
_TAGS = frozenset({"title", "artist", "album", "date", "genre", "comment", "copyright", "tracknumber", "license"})
_SFC_SET_ADD_PEAK_CHUNK = 0x1050
# libsndfile's scale from 0 (best) to 1 (smallest). Vorbis: quality 0.7, about 110 kb/s per channel. MP3: LAME -V 2.
_COMPRESSION = {"ogg": 0.3, "mp3": 0.2}


class SndfileWriter:
    """Writes blocks (C, T) within [-1, 1] to `path`; `dither` adds triangular noise of one step before rounding."""

    def __init__(
        self,
        path: Path,
        container: str,
        *,
        sample_rate: int,
        channels: int,
        subtype: str,
        tags: Mapping[str, str],
        dither: np.random.Generator | None = None,
    ) -> None:
        self._levels = None if container in _LOSSY_SUBTYPES else _LEVELS.get(subtype)
        self._dither = dither
        try:
            self._file = soundfile.SoundFile(
                path,
                "w",
                samplerate=sample_rate,
                channels=channels,
                format=_CONTAINERS[container],
                subtype=_LOSSY_SUBTYPES.get(container, subtype),
                compression_level=_COMPRESSION.get(container),
                bitrate_mode="VARIABLE" if container == "mp3" else None,
            )
        except (soundfile.LibsndfileError, OSError) as error:
            raise InsufficientDisk("The output file could not be created.") from error
        # The PEAK chunk of a float WAV holds the time of day: without it the same signal gives the same bytes.
        # soundfile offers no public way to ask for that.
        soundfile._snd.sf_command(self._file._file, _SFC_SET_ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)
        # Of an MP3's tags LAME writes some, in an encoding that the format does not name: tag_writer writes them all.
        for name, value in tags.items():
            if name in _TAGS and container != "mp3":
                setattr(self._file, name, value)

    def write(self, wav: FloatArray) -> None:
        frames = np.ascontiguousarray(wav.T)
        try:
            self._file.write(frames if self._levels is None else self._quantise(frames, self._levels))
        except (soundfile.LibsndfileError, OSError) as error:
            raise InsufficientDisk("The output could not be written: the disk is full or not writable.") from error

    def close(self) -> None:
        try:
            self._file.close()
        except (soundfile.LibsndfileError, OSError) as error:
            raise InsufficientDisk("The output could not be written: the disk is full or not writable.") from error

    def _quantise(self, frames: FloatArray, levels: int) -> NDArray[np.int16] | NDArray[np.int32]:
        """Return integers (T, C) as libsndfile takes them; its own float conversion scales by 32767, not 32768."""
        scaled = frames * np.float32(levels)
        if self._dither is not None:
            scaled = scaled + (self._dither.random(frames.shape) - self._dither.random(frames.shape))
        rounded: NDArray[np.floating] = np.rint(scaled, out=scaled)
        np.clip(rounded, -levels, levels - 1, out=rounded)
        if levels == _LEVELS["PCM_16"]:
            return rounded.astype(np.int16)
        # A 24-bit sample travels in the upper bits of 32.
        return rounded.astype(np.int32) << 8

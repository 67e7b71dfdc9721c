"""libsndfile as a decoder: WAV, RF64, W64, AIFF, AU, CAF, FLAC and OGG with Vorbis or Opus."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soundfile

from core.audio.formats import AudioProbe, media_type_of_input
from core.audio.headers import declared_frames, lacks_ogg_end, truncation_warning
from core.audio.source import Source
from core.audio.types import FloatArray
from core.errors import InvalidAudio, UnsupportedMedia

# libsndfile raises without handing over what it had decoded, so a damaged file loses up to one piece: 4096 frames is
# the usual FLAC block. Plain samples cannot be damaged in that way, and larger pieces cost fewer calls.
COMPRESSED_PIECE_FRAMES, PIECE_FRAMES = 4_096, 32_768
# MP3 is left to FFmpeg on purpose: without a length tag libsndfile guesses the length from the first frame's bit rate
# and stops there, which cuts a variable-rate file short.
CONTAINERS = frozenset({"wav", "rf64", "w64", "aiff", "au", "caf", "flac", "ogg"})
_COMPRESSED_CONTAINERS = frozenset({"caf", "flac", "ogg"})
UNKNOWN_FRAMES = 2**62  # libsndfile gives the largest integer for a FLAC stream that does not say
LOSSLESS_SUBTYPES = frozenset(
    {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32"}
)
_SHORT_LEVELS = np.float32(2**15)
_SUBTYPE_NAMES = {"ALAC_16": "PCM_16", "ALAC_20": "PCM_24", "ALAC_24": "PCM_24", "ALAC_32": "PCM_32"}


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read forwards, so that no seek follows each read and a wrong length does not stop it."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """Decodes a `Source` through libsndfile; the first piece is decoded at once, so that an instance means sound.

    Errors are predicates ("holds no samples"): the caller knows how to call the file. Raises UnsupportedMedia when
    libsndfile does not know the bytes, InvalidAudio when it knows them and finds nothing to decode.
    """

    def __init__(self, source: Source, container: str | None) -> None:
        self._declared_frames = declared_frames(source)
        self._lacks_end = container == "ogg" and lacks_ogg_end(source)
        source.seek(0)
        try:
            self._file = _SequentialFile(source)
        except soundfile.LibsndfileError as error:
            raise UnsupportedMedia("is not audio that libsndfile knows") from error
        if self._declared_frames is None and 0 < self._file.frames < UNKNOWN_FRAMES:
            self._declared_frames = self._file.frames
        self.sample_rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.probe = self._describe(container or "")
        self.warning: str | None = None
        self._failed = False
        self._piece_frames = COMPRESSED_PIECE_FRAMES if container in _COMPRESSED_CONTAINERS else PIECE_FRAMES
        self._first = self._read()
        if not self._first.shape[-1]:
            self.close()
            raise InvalidAudio("holds no samples")

    def pieces(self) -> Iterator[FloatArray]:
        """Yield the samples (C, T) in order; sets `warning` when there are fewer than the file declares."""
        decoded, piece = 0, self._first
        while piece.shape[-1]:
            decoded += piece.shape[-1]
            yield piece
            piece = self._read()
        if self._failed or (self._declared_frames or 0) > decoded:
            declared_s = (self._declared_frames or 0) / self.sample_rate
            self.warning = truncation_warning(decoded / self.sample_rate, declared_s)
        elif self._lacks_end:
            self.warning = (
                f"The file may be cut short: its last page, at {decoded / self.sample_rate:.2f} s, "
                "is not marked as the end."
            )

    def close(self) -> None:
        self._file.close()

    def _read(self) -> FloatArray:
        if self._failed:
            return np.empty((self.channels, 0), np.float32)
        # libsndfile reads integers of 16 bits as they lie in the file, and anything else through a buffer of 8 KiB.
        is_short = self._file.subtype == "PCM_16"
        try:
            frames = self._file.read(self._piece_frames, dtype="int16" if is_short else "float32", always_2d=True)
        except soundfile.LibsndfileError:
            self._failed = True
            return np.empty((self.channels, 0), np.float32)
        wav = np.ascontiguousarray(frames.T, dtype=np.float32)
        if is_short:
            wav /= _SHORT_LEVELS
        return wav

    def _describe(self, container: str) -> AudioProbe:
        subtype: str = self._file.subtype
        frames = self._file.frames if 0 < self._file.frames < UNKNOWN_FRAMES else None
        is_pcm = subtype in LOSSLESS_SUBTYPES and container != "flac"
        return AudioProbe(
            format=container,
            codec="pcm" if is_pcm else "flac" if container == "flac" else subtype.lower(),
            sample_rate=self.sample_rate,
            channels=self.channels,
            frames=frames,
            duration_s=None if frames is None else frames / self.sample_rate,
            subtype=_SUBTYPE_NAMES.get(subtype, subtype),
            is_lossy=subtype not in LOSSLESS_SUBTYPES,
            media_type=media_type_of_input(container),
        )

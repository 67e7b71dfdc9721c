"""AudioReader for the files of strangers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from core.audio.cover import Cover
from core.audio.decode import AudioReader
from core.audio.isolation import IsolatedDecoder
from core.audio.source import Source


class IsolatedReader(AudioReader):
    """An AudioReader whose decoder runs in a process of its own, under limits.

    `tags` and `cover` are what core.audio.tags and core.audio.cover read.
    Errors are those of core.audio.isolation.IsolatedDecoder, and InvalidAudio for samples that are not finite.
    """

    def __init__(self, source: Path | BinaryIO, *, name: str = "", track: int = 1) -> None:
        self.tags: Mapping[str, str] = {}
        self.cover: Cover | None = None
        super().__init__(source, name=name, track=track, open_with=self._open)

    def _open(self, source: Source, *, name: str, track: int) -> IsolatedDecoder:
        decoder = IsolatedDecoder(source, name=name, track=track)
        self.tags = decoder.tags
        if decoder.cover_data is not None:
            self.cover = Cover(data=bytes(decoder.cover_data), **decoder.cover_facts)
        return decoder

"""What a file is, from its headers and first samples, without reading the rest."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from core.audio.decode import open_decoder
from core.audio.formats import AudioProbe as AudioProbe
from core.audio.source import Source


def probe(source: BinaryIO | Path, *, name: str = "", track: int = 1) -> AudioProbe:
    """Return what sound track `track` (from 1) of `source` holds.

    A file object must be seekable, is read in a few places only and left open. `name` is how error messages call the
    file. Raises UnsupportedMedia (not audio, or empty), InvalidAudio (no samples, no sound track, damaged, absurd
    header), InvalidOptions (no such track) and whatever reading `source` raises.
    """
    with Source(source) as opened:
        decoder = open_decoder(opened, name=name, track=track)
        decoder.close()
        return decoder.probe

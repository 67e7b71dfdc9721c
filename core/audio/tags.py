"""What a recording is called: title, artist and the like, carried from the input to the output."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import av.error

from core.audio.pyav import open_container
from core.audio.source import Source

TAG_NAMES = ("title", "artist", "album", "date", "genre", "comment", "copyright", "tracknumber")
_ALIASES = {"track": "tracknumber", "year": "date", "creation_time": "date", "description": "comment"}
MAX_TAG_CHARACTERS = 1_000


def read_tags(source: Path | BinaryIO, *, track: int = 1) -> dict[str, str]:
    """Return the tags of a file, and of its sound track `track` (from 1), under the names of `TAG_NAMES`.

    Empty when it has none or cannot be opened. Control characters are taken out and each value ends after
    `MAX_TAG_CHARACTERS`.
    """
    with Source(source) as opened:
        try:
            with open_container(opened, is_for_sound=False) as container:
                found = dict(container.metadata)
                if len(container.streams.audio) >= track:
                    found = dict(container.streams.audio[track - 1].metadata) | found
        except (av.error.FFmpegError, EOFError, ValueError):
            found = {}
        opened.raise_failure()
    tags: dict[str, str] = {}
    for name, value in found.items():
        key = _ALIASES.get(name.lower(), name.lower())
        text = "".join(character for character in value if character.isprintable()).strip()[:MAX_TAG_CHARACTERS]
        if key in TAG_NAMES and text and (key == name.lower() or key not in tags):
            tags[key] = text
    return tags

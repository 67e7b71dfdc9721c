"""A watched folder: what in it is a recording, which options belong to it, and where everything else has its place.

DIR/                      recordings, in sub-folders of any depth
DIR/talk.wav.json         options of one recording       DIR/limpid.json   options of a folder and all below it
DIR/done/  DIR/failed/    what is through, in the same sub-folders; beside a failed one, why
DIR/.limpid/              claimed recordings, each with its record
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from core.errors import InvalidInput

logger = logging.getLogger(__name__)

DONE_FOLDER = "done"
FAILED_FOLDER = "failed"
STATE_FOLDER = ".limpid"
FOLDER_OPTIONS = "limpid.json"
OPTIONS_SUFFIX = ".json"

PARTIAL_SUFFIXES = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".download")
"""Of files that browsers, FTP and SFTP clients are still writing; they are renamed at the end."""

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, kw_only=True)
class FileState:
    """What changes about a file while it is written."""

    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recording that was found. Paths are relative to the watched folder."""

    path: Path
    state: FileState
    options_path: Path | None = None
    options_state: FileState | None = None


@dataclass(frozen=True, kw_only=True)
class WatchedFolder:
    """`source` is watched, results go to `results`; both are absolute. InvalidInput when one would feed the other."""

    source: Path
    results: Path

    def __post_init__(self) -> None:
        if self.results == self.source or self.results in self.source.parents:
            raise InvalidInput(
                f"Results in {self.results} would be taken for new recordings: "
                "they cannot go to the watched folder or to one above it."
            )

    @property
    def state(self) -> Path:
        """Where claimed recordings are kept."""
        return self.source / STATE_FOLDER

    @property
    def done(self) -> Path:
        """Where recordings go whose results are there."""
        return self.source / DONE_FOLDER

    @property
    def failed(self) -> Path:
        """Where recordings go that have none."""
        return self.source / FAILED_FOLDER

    @property
    def staging(self) -> Path:
        """Where results arrive: on the file system that they are for, out of sight."""
        return self.results / STATE_FOLDER

    def is_watched(self, path: Path) -> bool:
        """True when `path` (absolute) lies where recordings are looked for."""
        if path == self.results or self.results in path.parents or not path.is_relative_to(self.source):
            return False
        parts = path.relative_to(self.source).parts
        return not (parts[:1] in ((DONE_FOLDER,), (FAILED_FOLDER,)) or any(part.startswith(".") for part in parts))

    def scan(self) -> Iterator[Candidate]:
        """Every recording in the folder now, however incomplete. What cannot be read is skipped and logged.

        Regular files only: a symbolic link could bring in any file of the machine.
        """
        for root, folders, names in os.walk(self.source, onerror=_log_unreadable):
            folder = Path(root)
            folders[:] = sorted(name for name in folders if self.is_watched(folder / name))
            for name in sorted(names):
                if is_recording_name(name):
                    yield from self._candidate(folder / name)

    def _candidate(self, path: Path) -> Iterator[Candidate]:
        state = state_of(path)
        if state is None:
            return
        options = path.with_name(path.name + OPTIONS_SUFFIX)
        options_state = state_of(options)
        yield Candidate(
            path=path.relative_to(self.source),
            state=state,
            options_path=None if options_state is None else options.relative_to(self.source),
            options_state=options_state,
        )

    def folder_options(self, path: Path) -> Path | None:
        """The nearest `limpid.json` at or above the recording at `path` (relative), within the watched folder."""
        for parent in path.parents:
            options = self.source / parent / FOLDER_OPTIONS
            if options.is_file():
                return options
        return None


def is_recording_name(name: str) -> bool:
    """False for what is hidden, half-written, or there for another purpose."""
    lower = name.casefold()
    return not (
        lower.startswith((".", "~"))
        or lower.endswith(("~", OPTIONS_SUFFIX, *PARTIAL_SUFFIXES))
        or lower in _SYSTEM_FILES
    )


def state_of(path: Path) -> FileState | None:
    """The file's state; None when there is no regular file at `path`, or none that can be looked at."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return FileState(size_bytes=found.st_size, mtime_ns=found.st_mtime_ns) if S_ISREG(found.st_mode) else None


def _log_unreadable(error: OSError) -> None:
    logger.warning("folder_not_readable", extra={"folder": error.filename, "reason": error.strerror})

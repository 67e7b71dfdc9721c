"""When a file is complete: its size and time of change have stayed as they are for a while, as seen by us."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from worker.ingest.folder import Candidate

EMPTY_STABLE_S = 60.0
"""An empty file waits for at least so long: some programs make the file first and fill it much later."""


@dataclass(kw_only=True)
class _Sighting:
    candidate: Candidate
    since_s: float


class StabilityWindow:
    """Remembers how long each recording, and its options file, have not changed.

    What a file's own time says is not trusted: copying may set it to the original's before the last byte, and the clock
    of a file server may be another.
    """

    def __init__(self, *, stable_s: float, clock: Callable[[], float]) -> None:
        self._stable_s = stable_s
        self._clock = clock
        self._seen: dict[Path, _Sighting] = {}

    @property
    def waiting(self) -> int:
        """How many recordings were there at the last update and not yet complete, or not yet taken."""
        return len(self._seen)

    def update(self, found: Iterable[Candidate]) -> list[Candidate]:
        """The complete ones among all that are there now. What is not there any more is forgotten."""
        now_s = self._clock()
        seen: dict[Path, _Sighting] = {}
        for candidate in found:
            before = self._seen.get(candidate.path)
            if before is None or before.candidate != candidate:
                before = _Sighting(candidate=candidate, since_s=now_s)
            seen[candidate.path] = before
        self._seen = seen
        return [known.candidate for known in seen.values() if now_s - known.since_s >= self._needed_s(known.candidate)]

    def forget(self, path: Path) -> None:
        """Begin anew with the recording at `path`: it was taken, or could not be."""
        self._seen.pop(path, None)

    def _needed_s(self, candidate: Candidate) -> float:
        return self._stable_s if candidate.state.size_bytes else max(self._stable_s, EMPTY_STABLE_S)

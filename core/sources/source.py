"""Recordings below a prefix of a bucket: which may be read, which are meant, and the port that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from core.errors import ForbiddenUrl, InvalidInput
from core.file_names import safe_file_name
from core.jobs import InputFile
from core.outbound.fetch import ANY_MEDIA_TYPE
from core.sources.location import Location

MAX_LISTED = 20_000
"""Objects that are looked at below one prefix: more would keep a request waiting for minutes."""


@dataclass(frozen=True, kw_only=True)
class SourceObject:
    """One object of a bucket."""

    location: Location
    bytes: int

    def as_input(self, key: str) -> InputFile:
        """The input of a job that is to fetch it to `key`."""
        name = safe_file_name(self.location.prefix.rpartition("/")[2])
        return InputFile(
            name=name, key=key, bytes=self.bytes, sha256="", media_type=ANY_MEDIA_TYPE, url=self.location.url
        )


class ObjectSource(Protocol):
    """Reads other people's objects. A bucket that cannot be read raises FetchFailed, a silent store StorageError."""

    def list(self, location: Location) -> Iterator[SourceObject]:
        """Every object whose key begins like the location's, in the order of the keys."""
        ...

    def fetch(self, location: Location, write: Callable[[bytes], object], *, max_bytes: int) -> int:
        """Hand the object's bytes to `write`, block by block; how many. InputTooLarge past `max_bytes`."""
        ...


class Sources:
    """What may be read: the `allowed` locations, never Limpid's own objects in `own_bucket`."""

    def __init__(self, source: ObjectSource | None, *, allowed: Sequence[Location], own_bucket: str) -> None:
        self._source, self._allowed, self._own_bucket = source, allowed, own_bucket

    def check(self, location: Location) -> None:
        """ForbiddenUrl when the location must not be read."""
        self._allowed_source(location)

    def find(self, location: Location, patterns: Sequence[str], *, limit: int) -> Sequence[SourceObject]:
        """The recordings below the location that match one of the `patterns` (shell's; none: all), by their keys.

        A pattern with a slash is for the path below the location's folder, another for the name alone. ForbiddenUrl as
        above; InvalidInput when there are none, more than `limit`, or too many objects to look at.
        """
        source = self._allowed_source(location)
        found = [item for item in _first(source.list(location), location) if _is_meant(item, location, patterns)]
        if not found:
            raise InvalidInput(f"Below {location.url} is no recording that is meant.")
        if len(found) > limit:
            raise InvalidInput(
                f"Below {location.url} are {len(found)} recordings; a batch takes {limit}. Narrow prefix or patterns."
            )
        return found

    def fetch(self, location: Location, write: Callable[[bytes], object], *, max_bytes: int) -> int:
        """ObjectSource.fetch of an allowed location; ForbiddenUrl when it is no longer allowed."""
        return self._allowed_source(location).fetch(location, write, max_bytes=max_bytes)

    def _allowed_source(self, location: Location) -> ObjectSource:
        if self._source is None:
            raise ForbiddenUrl("This server has no S3 object store to read s3:// from.")
        if not any(allowed.holds(location) for allowed in self._allowed):
            raise ForbiddenUrl(f"{location.url} may not be read. The operator can allow it: LIMPID_BATCH_SOURCES.")
        if location.reaches_reserved(self._own_bucket):
            raise ForbiddenUrl(f"{location.url} would reach what Limpid itself stores.")
        return self._source


def _first(objects: Iterable[SourceObject], location: Location) -> Iterator[SourceObject]:
    for count, item in enumerate(objects, start=1):
        if count > MAX_LISTED:
            raise InvalidInput(f"Below {location.url} are more than {MAX_LISTED} objects. Narrow the prefix.")
        yield item


def _is_meant(item: SourceObject, location: Location, patterns: Sequence[str]) -> bool:
    path = item.location.prefix.removeprefix(location.folder)
    name = path.rpartition("/")[2]
    if not name:  # what stands for a folder
        return False
    return not patterns or any(fnmatchcase(path if "/" in pattern else name, pattern) for pattern in patterns)

"""Somebody else's bucket, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from core.errors import FetchFailed, InputTooLarge
from core.sources.location import Location
from core.sources.source import SourceObject

BLOCK_BYTES = 1000


class FakeObjectSource:
    """An ObjectSource whose `objects` are data by (bucket, key)."""

    def __init__(self, objects: dict[tuple[str, str], bytes] | None = None) -> None:
        self.objects = objects or {}

    def list(self, location: Location) -> Iterator[SourceObject]:
        for bucket, key in sorted(self.objects):
            if bucket == location.bucket and key.startswith(location.prefix):
                yield SourceObject(location=Location(bucket=bucket, prefix=key), bytes=len(self.objects[bucket, key]))

    def fetch(self, location: Location, write: Callable[[bytes], object], *, max_bytes: int) -> int:
        data = self.objects.get((location.bucket, location.prefix))
        if data is None:
            raise FetchFailed(f"{location.url} cannot be read: NoSuchKey.")
        for start in range(0, len(data), BLOCK_BYTES):
            if start + BLOCK_BYTES > max_bytes:
                raise InputTooLarge(f"{location.url} is larger than the limit of {max_bytes} bytes.")
            write(data[start : start + BLOCK_BYTES])
        return len(data)

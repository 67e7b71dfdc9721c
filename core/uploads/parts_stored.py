"""Parts as objects of their own: for a store without multipart uploads. The API takes them and puts them together."""

from __future__ import annotations

import io
from collections.abc import Mapping

from core.errors import NotFound
from core.storage import ObjectStore, ObjectWriter

COPY_BYTES = 1 << 20


class StoredParts:
    """A PartStore on any ObjectStore. Joining copies the bytes once."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def begin(self, key: str, *, media_type: str) -> str:
        """There is nothing to prepare."""
        return ""

    def part_url(self, key: str, reference: str, number: int, *, expires_s: int) -> str | None:
        """None: the API takes the parts."""
        return None

    def open_part(self, key: str, reference: str, number: int) -> ObjectWriter:
        """A write of one part, which replaces an earlier one of the number at its commit."""
        return self._store.open_writer(_part_key(key, number), media_type="application/octet-stream")

    def sizes(self, key: str, reference: str, *, count: int) -> Mapping[int, int]:
        """Bytes of the parts that have arrived."""
        found = {}
        for number in range(1, count + 1):
            try:
                with self._store.open_reader(_part_key(key, number)) as part:
                    found[number] = part.seek(0, io.SEEK_END)
            except NotFound:
                continue
        return found

    def join(self, key: str, reference: str, *, count: int) -> None:
        """Copy the parts into one object, and remove them."""
        with self._store.open_writer(key, media_type="application/octet-stream") as whole:
            for number in range(1, count + 1):
                with self._store.open_reader(_part_key(key, number)) as part:
                    while block := part.read(COPY_BYTES):
                        whole.write(block)
            whole.commit()
        self.abort(key, reference)

    def abort(self, key: str, reference: str) -> None:
        """Remove every part."""
        self._store.delete_prefix(f"{key}.parts/")


def _part_key(key: str, number: int) -> str:
    return f"{key}.parts/{number:05d}"

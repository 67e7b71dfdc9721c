"""The object store, the job queue and the name server, in memory."""

from __future__ import annotations

import io
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from core.errors import NotFound, QueueError, StorageError
from core.jobs import Device, Lane
from core.queue import job_queue_name

PRIVATE_NAME = "inside.example.com"


def fake_resolve(host: str, port: int) -> Sequence[str]:
    """A name server that knows PRIVATE_NAME and, for every other name, the same public address."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        return ["10.0.0.1" if host == PRIVATE_NAME else "93.184.216.34"]


class FakeObjectWriter:
    """A write that shows up in its store at `commit`."""

    def __init__(self, store: FakeObjectStore, key: str, media_type: str) -> None:
        self._store, self._key, self._media_type = store, key, media_type
        self._buffer = io.BytesIO()

    def write(self, data: bytes) -> None:
        self._store.check()
        self._buffer.write(data)

    def commit(self) -> None:
        self._store.put(self._key, self._buffer.getvalue(), media_type=self._media_type)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._buffer.close()


class FakeObjectStore:
    """An ObjectStore in a dictionary. `is_down` makes every call raise StorageError; `presign_base` turns on URLs."""

    def __init__(self, *, presign_base: str | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.media_types: dict[str, str] = {}
        self.presign_base = presign_base
        self.is_down = False

    def put(self, key: str, data: bytes, *, media_type: str = "application/octet-stream") -> None:
        """Store `data` under `key` (for arranging a test)."""
        self.check()
        self.objects[key] = data
        self.media_types[key] = media_type

    def open_writer(self, key: str, *, media_type: str) -> FakeObjectWriter:
        self.check()
        return FakeObjectWriter(self, key, media_type)

    def open_reader(self, key: str) -> BinaryIO:
        return io.BytesIO(self._bytes_of(key))

    def upload(self, path: Path, key: str, *, media_type: str) -> None:
        self.put(key, path.read_bytes(), media_type=media_type)

    def download(self, key: str, path: Path) -> None:
        path.write_bytes(self._bytes_of(key))

    def copy(self, key: str, target: str, *, media_type: str) -> None:
        self.put(target, self._bytes_of(key), media_type=media_type)

    def delete_prefix(self, prefix: str) -> int:
        self.check()
        keys = [key for key in self.objects if key.startswith(prefix)]
        for key in keys:
            del self.objects[key]
            del self.media_types[key]
        return len(keys)

    def presign_get(self, key: str, *, file_name: str, media_type: str, expires_s: int) -> str | None:
        self.check()
        return None if self.presign_base is None else f"{self.presign_base}/{key}?expires={expires_s}"

    def check(self) -> None:
        if self.is_down:
            raise StorageError("The object store did not answer.")

    def _bytes_of(self, key: str) -> bytes:
        self.check()
        try:
            return self.objects[key]
        except KeyError:
            raise NotFound("There is no such object.") from None


class FakeJobQueue:
    """A JobQueue that remembers what it was sent: (job id, queue name), and how often deliveries were asked for.

    `is_down` makes it raise QueueError.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.deliveries_asked_for = 0
        self.is_down = False

    def send_job(self, job_id: str, *, device: Device, lane: Lane) -> None:
        self.check()
        self.sent.append((job_id, job_queue_name(device, lane)))

    def send_deliveries(self) -> None:
        self.check()
        self.deliveries_asked_for += 1

    def count_messages(self, *, device: Device, lane: Lane) -> int:
        self.check()
        return sum(name == job_queue_name(device, lane) for _, name in self.sent)

    def check(self) -> None:
        if self.is_down:
            raise QueueError("The job queue did not answer.")

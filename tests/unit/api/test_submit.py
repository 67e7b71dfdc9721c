"""Submitting a recording: by form and by raw body, streamed, and gone without trace when it fails."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api import intake
from api.intake import BLOCK_BYTES
from core.errors import StorageError
from core.jobs import JobStatus, Lane
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore, FakeObjectWriter
from tests.unit.api.recordings import wav

JOBS = "/api/v1/jobs"
BOUNDARY = "x-boundary"


def form(*parts: tuple[str, str | None, bytes], closing: bytes = b"--\r\n") -> tuple[bytes, dict[str, str]]:
    """The body and headers of a form, its parts (field, file name, value) in this order."""
    body = b""
    for field, file_name, value in parts:
        disposition = f'form-data; name="{field}"' + (f'; filename="{file_name}"' if file_name is not None else "")
        body += f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"
    return body + f"--{BOUNDARY}".encode() + closing, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def test_form_becomes_a_queued_job(
    client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository, queue: FakeJobQueue
) -> None:
    recording = wav(seconds=1.0, sample_rate=48_000, channels=2)

    response = client.post(JOBS, files={"file": ("talk.wav", recording)}, data={"preset": "clean-only"})

    assert response.status_code == 202
    told = response.json()
    assert response.headers["Location"] == f"{JOBS}/{told['id']}" == told["links"]["self"]
    assert int(response.headers["Retry-After"]) >= 1
    assert told["status"] == "queued"
    assert told["preset"] == "clean-only"
    assert told["input"] == {
        "name": "talk.wav",
        "media_type": "audio/wav",
        "bytes": len(recording),
        "sha256": hashlib.sha256(recording).hexdigest(),
        "duration_s": 1.0,
        "sample_rate": 48_000,
        "channels": 2,
    }
    assert told["progress"] == {"fraction": 0, "processed_s": 0, "duration_s": 1.0, "eta_s": None, "rtf": None}
    assert jobs.get(told["id"]).status is JobStatus.QUEUED
    assert store.objects == {f"jobs/{told['id']}/input": recording}
    assert queue.sent == [(told["id"], "cpu.interactive")]


@pytest.mark.parametrize("file_position", [0, 1, 2])
def test_fields_count_before_and_after_the_file(client: TestClient, file_position: int) -> None:
    options = json.dumps({"overrides": {"strength": 0.5}, "lane": "bulk", "metadata": {"episode": 12}})
    parts: list[tuple[str, str | None, bytes]] = [("preset", None, b"clean-only"), ("options", None, options.encode())]
    parts.insert(file_position, ("file", "talk.wav", wav()))
    body, headers = form(*parts)

    told = client.post(JOBS, content=body, headers=headers).json()

    assert told["preset"] == "clean-only"
    assert told["options"]["strength"] == 0.5
    assert told["lane"] == "bulk"
    assert told["metadata"] == {"episode": 12}


@pytest.mark.parametrize("piece_bytes", [1, 7, 4096])
def test_form_is_read_alike_however_it_is_cut(client: TestClient, store: FakeObjectStore, piece_bytes: int) -> None:
    recording = wav(seconds=0.05) + b"\r\n--x-boundarz\r\n--x-bound"
    body, headers = form(("preset", None, b"clean-only"), ("file", "talk.wav", recording))

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), piece_bytes):
            yield body[start : start + piece_bytes]

    response = client.post(JOBS, content=pieces(), headers=headers)

    assert response.status_code == 202
    assert list(store.objects.values()) == [recording]


def test_raw_body_becomes_a_job_named_by_the_query(client: TestClient, store: FakeObjectStore) -> None:
    recording = wav()

    response = client.post(
        JOBS,
        params={"preset": "clean-only", "name": "talk.wav", "options": '{"overrides": {"residual": true}}'},
        content=recording,
        headers={"Content-Type": "audio/wav"},
    )

    told = response.json()
    assert response.status_code == 202
    assert told["input"]["name"] == "talk.wav"
    assert told["options"]["residual"] is True
    assert list(store.objects.values()) == [recording]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="talk.wav"', "talk.wav"),
        ("attachment; filename*=UTF-8''na%C3%AFve.wav", "naïve.wav"),
        ("attachment", "recording"),
        ("attachment; filename*=no-such-charset''talk.wav", "talk.wav"),
    ],
)
def test_raw_body_is_named_by_its_content_disposition(client: TestClient, disposition: str, name: str) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Disposition": disposition}

    told = client.post(JOBS, params={"preset": "clean-only"}, content=wav(), headers=headers).json()

    assert told["input"]["name"] == name


def test_form_field_replaces_the_query(client: TestClient) -> None:
    told = client.post(JOBS, params={"preset": "fast"}, files={"file": wav()}, data={"preset": "clean-only"}).json()

    assert told["preset"] == "clean-only"


def test_bulk_lane_has_a_queue_of_its_own(client: TestClient, queue: FakeJobQueue) -> None:
    told = client.post(
        JOBS, files={"file": wav()}, data={"preset": "clean-only", "options": json.dumps({"lane": Lane.BULK})}
    ).json()

    assert queue.sent == [(told["id"], "cpu.bulk")]


def test_silent_broker_does_not_refuse_the_job(
    client: TestClient, jobs: FakeJobRepository, queue: FakeJobQueue
) -> None:
    queue.is_down = True

    response = client.post(JOBS, files={"file": wav()}, data={"preset": "clean-only"})

    assert response.status_code == 202
    assert jobs.get(response.json()["id"]).status is JobStatus.QUEUED


def test_silent_store_is_told_with_a_time_to_come_back(client: TestClient, store: FakeObjectStore) -> None:
    store.is_down = True

    response = client.post(JOBS, files={"file": wav()}, data={"preset": "clean-only"})

    assert response.status_code == 503
    assert response.json()["code"] == "storage_error"
    assert int(response.headers["Retry-After"]) >= 1


def test_silent_database_leaves_no_file_behind(
    client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository
) -> None:
    jobs.is_down = True

    response = client.post(JOBS, files={"file": wav()}, data={"preset": "clean-only"})

    assert response.status_code == 503
    assert store.objects == {}


def test_model_that_is_not_installed_is_told_at_once(client: TestClient, store: FakeObjectStore) -> None:
    response = client.post(JOBS, files={"file": wav()}, data={"preset": "speech-dns48"})

    assert response.status_code == 409
    assert response.json()["code"] == "model_unavailable"
    assert "limpid models pull dns48" in response.json()["detail"]
    assert store.objects == {}


class RecordingStore(FakeObjectStore):
    """Remembers the size of every write, and what became of the writers."""

    def __init__(self, *, fails_after_bytes: int | None = None) -> None:
        super().__init__()
        self.write_sizes: list[int] = []
        self.open_writers = 0
        self.fails_after_bytes = fails_after_bytes

    def open_writer(self, key: str, *, media_type: str) -> FakeObjectWriter:
        self.open_writers += 1
        return _RecordingWriter(self, key, media_type)


class _RecordingWriter(FakeObjectWriter):
    def write(self, data: bytes) -> None:
        store = self._store
        assert isinstance(store, RecordingStore)
        store.write_sizes.append(len(data))
        if store.fails_after_bytes is not None and sum(store.write_sizes) > store.fails_after_bytes:
            raise StorageError("The object store did not answer.")
        super().write(data)

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401
        store = self._store
        assert isinstance(store, RecordingStore)
        store.open_writers -= 1
        super().__exit__(*error)


class TestStreaming:
    """At the level of ASGI messages, where it shows what is read when."""

    @pytest.fixture
    def store(self) -> RecordingStore:
        return RecordingStore()

    def test_upload_passes_in_blocks(self, app: FastAPI, store: RecordingStore) -> None:
        recording = wav(seconds=30.0)  # 960 kB

        status, _ = post(app, chunks=cut(recording, 65_536), headers={"content-type": "audio/wav"})

        assert status == 202
        assert len(store.write_sizes) > 3
        assert max(store.write_sizes) <= BLOCK_BYTES + 65_536

    @pytest.mark.parametrize("content_type", ["audio/wav", f"multipart/form-data; boundary={BOUNDARY}"])
    def test_client_that_goes_away_leaves_nothing(
        self, app: FastAPI, store: RecordingStore, jobs: FakeJobRepository, queue: FakeJobQueue, content_type: str
    ) -> None:
        head = (
            b"" if content_type == "audio/wav" else form(("file", "a.wav", b""), closing=b"")[0][: -len(BOUNDARY) - 4]
        )
        chunks = cut(head + wav(seconds=30.0), 65_536)

        status, reads = post(app, chunks=chunks[:8], headers={"content-type": content_type}, then="disconnect")

        assert status == 499
        assert reads == 9
        assert store.write_sizes
        assert store.open_writers == 0
        assert store.objects == {}
        assert jobs.list().jobs == []
        assert queue.sent == []

    def test_store_that_fails_midway_ends_the_reading(self, app: FastAPI, store: RecordingStore) -> None:
        store.fails_after_bytes = 300_000
        chunks = cut(wav(seconds=60.0), 65_536)

        status, reads = post(app, chunks=chunks, headers={"content-type": "audio/wav"})

        assert status == 503
        assert reads < len(chunks)
        assert store.open_writers == 0
        assert store.objects == {}

    @pytest.mark.parametrize("content_type", ["audio/wav", f"multipart/form-data; boundary={BOUNDARY}"])
    def test_declared_size_over_the_limit_is_refused_unread(
        self, app: FastAPI, store: RecordingStore, content_type: str
    ) -> None:
        status, reads = post(app, chunks=[b"x"], headers={"content-type": content_type, "content-length": "9" * 12})

        assert status == 413
        assert reads == 0
        assert store.write_sizes == []

    def test_undeclared_size_over_the_limit_ends_the_reading(self, app: FastAPI, store: RecordingStore) -> None:
        chunks = cut(bytes(20_000_000), 65_536)

        status, reads = post(app, chunks=chunks, headers={"content-type": "audio/wav"})

        assert status == 413
        assert reads * 65_536 < 4_000_000 + 2 * BLOCK_BYTES
        assert store.open_writers == 0
        assert store.objects == {}

    def test_client_that_falls_silent_is_given_up(
        self, app: FastAPI, store: RecordingStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(intake, "STALL_TIMEOUT_S", 0.02)
        chunks = cut(wav(seconds=30.0), 65_536)

        status, reads = post(app, chunks=chunks[:8], headers={"content-type": "audio/wav"}, then="silence")

        assert status == 408
        assert reads == 9
        assert store.open_writers == 0
        assert store.objects == {}

    def test_bad_options_of_a_raw_body_are_refused_unread(self, app: FastAPI) -> None:
        status, reads = post(app, chunks=[b"x"], headers={"content-type": "audio/wav"}, query=b"preset=nope")

        assert status == 422
        assert reads == 0


def cut(data: bytes, size_bytes: int) -> list[bytes]:
    return [data[start : start + size_bytes] for start in range(0, len(data), size_bytes)]


def post(
    app: FastAPI,
    *,
    chunks: list[bytes],
    headers: dict[str, str],
    path: str = JOBS,
    query: bytes = b"preset=clean-only",
    then: Literal["end", "disconnect", "silence"] = "end",
) -> tuple[int, int]:
    """POST as a server would, chunk by chunk; the status and how many messages were read."""
    reads = 0
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        nonlocal reads
        reads += 1
        if reads > len(chunks):
            if then == "silence":
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}
        is_last = reads == len(chunks) and then == "end"
        return {"type": "http.request", "body": chunks[reads - 1], "more_body": not is_last}

    async def send(message: Any) -> None:  # noqa: ANN401
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(app(scope, receive, send))
    return statuses[0], reads


def test_sound_track_that_is_not_there_is_refused_at_once(client: TestClient, store: FakeObjectStore) -> None:
    options = json.dumps({"overrides": {"track": 2}})

    response = client.post(JOBS, files={"file": ("talk.wav", wav())}, data={"preset": "clean-only", "options": options})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_options")
    assert "track = 2: the file holds one sound track" in response.json()["detail"]
    assert store.objects == {}

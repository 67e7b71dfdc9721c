"""Submit recordings, follow their jobs, fetch what they made."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Self, cast

import httpx

from core.file_names import safe_file_name
from limpid_client.batches import Batches
from limpid_client.connection import BLOCK_BYTES, BytesCallback, Connection
from limpid_client.records import RemoteJob, RemoteOutput, RemotePage

DEFAULT_URL = "http://127.0.0.1:8000"
JOBS = "/api/v1/jobs"
PAGE = 100  # jobs
HOLD_S = 30.0
"""The server is asked to hold its answer for so long while `wait` follows a job."""


class LimpidClient:
    """Speaks to one server. A context manager; not for several threads at once.

    Reading calls are tried again with growing pauses when the server does not answer; submitting is not, because the
    job might have been accepted: give an `idempotency_key` and call again. Every failure is an ApiError. `transport`
    and `sleep` are for tests.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = Connection(base_url, api_key=api_key, transport=transport, sleep=sleep)
        self.batches = Batches(self._connection, sleep=sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def submit(
        self,
        path: Path,
        *,
        preset: str | None = None,
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        reference: Path | None = None,
        on_sent: BytesCallback | None = None,
    ) -> RemoteJob:
        """Stream the file, and its clean `reference`, to the server; the job as accepted.

        `options` are those of the REST API: overrides, outputs, lane, metadata, webhook. With an `idempotency_key` the
        call may be repeated: the server makes one job of all calls with the same key. `on_sent` hears of the
        recording's bytes alone. OSError when a file cannot be read.
        """
        fields = {} if preset is None else {"preset": preset}
        if options:
            fields["options"] = json.dumps(options)
        headers = _idempotent(idempotency_key)
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            if reference is None:
                headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
                params = {"name": safe_file_name(path.name), **fields}
                blocks = _blocks_of(file.read, on_sent)
                response = self._connection.post(JOBS, params=params, content=blocks, headers=headers)
            else:
                clean = stack.enter_context(reference.open("rb"))
                files = {
                    "file": (safe_file_name(path.name), cast(IO[bytes], _CountedFile(file, on_sent))),
                    "reference": (safe_file_name(reference.name), cast(IO[bytes], clean)),
                }
                response = self._connection.post(JOBS, data=fields, files=files, headers=headers)
        return RemoteJob.from_response(response)

    def submit_url(
        self,
        url: str,
        *,
        preset: str | None = None,
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> RemoteJob:
        """Let the server fetch the recording at `url`, http or https; the job as accepted."""
        body: dict[str, Any] = {**(options or {}), "input": {"url": url}}
        if preset is not None:
            body["preset"] = preset
        return RemoteJob.from_response(self._connection.post(JOBS, json=body, headers=_idempotent(idempotency_key)))

    def get(self, job_id: str, *, known: RemoteJob | None = None, wait_s: float = 0.0) -> RemoteJob:
        """The job now; with `wait_s`, held until it ends or, given `known`, until it differs from that."""
        headers = {"If-None-Match": known.etag} if known and known.etag else {}
        response = self._connection.get(f"{JOBS}/{job_id}", params={"wait": wait_s}, headers=headers)
        if response.status_code == httpx.codes.NOT_MODIFIED and known is not None:
            return known
        return RemoteJob.from_response(response)

    def wait(
        self, job: RemoteJob, *, timeout_s: float | None = None, on_change: Callable[[RemoteJob], None] | None = None
    ) -> RemoteJob:
        """The job once it has ended, however it did; TimeoutError after `timeout_s`.

        `on_change` hears of its course.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not job.has_ended:
            left_s = HOLD_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"Job {job.id} is {job.status} after {timeout_s:g} s; it goes on.")
            latest = self.get(job.id, known=job if on_change else None, wait_s=min(HOLD_S, left_s))
            if on_change is not None and latest is not job:
                on_change(latest)
            job = latest
        return job

    def list(self, *, status: str | None = None, batch_id: str | None = None) -> Iterator[RemoteJob]:
        """Every job, the newest first; pages are fetched as they are needed."""
        params: dict[str, Any] = {"status": status, "batch": batch_id, "limit": PAGE}
        while True:
            given = {name: value for name, value in params.items() if value is not None}
            page = RemotePage.from_response(self._connection.get(JOBS, params=given))
            yield from page.jobs
            if page.next_cursor is None:
                return
            params["cursor"] = page.next_cursor

    def cancel(self, job_id: str) -> RemoteJob:
        """Ask the job to stop."""
        return RemoteJob.from_response(self._connection.post(f"{JOBS}/{job_id}/cancel"))

    def delete(self, job_id: str) -> None:
        """Remove the job's files at once; ApiError (409) while it runs."""
        self._connection.delete(f"{JOBS}/{job_id}")

    def download(
        self,
        output: RemoteOutput,
        folder: Path,
        *,
        name: str | None = None,
        on_received: BytesCallback | None = None,
    ) -> Path:
        """Fetch an output into `folder` and check its SHA-256; it appears there whole, or not at all.

        `name` replaces the server's name for it. Returns the path.
        """
        path = folder / safe_file_name(name or output.name)
        return self._connection.fetch(output.href, path, sha256=output.sha256, on_received=on_received)

    def presets(self) -> Sequence[Mapping[str, Any]]:
        """What can be asked for."""
        presets: Sequence[Mapping[str, Any]] = self._connection.get("/api/v1/presets").json()["presets"]
        return presets


def _idempotent(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


class _CountedFile:
    """A file that a form is made of, block by block; `on_sent` hears of each."""

    def __init__(self, file: BinaryIO, on_sent: BytesCallback | None) -> None:
        self._file = file
        self._on_sent = on_sent

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        if self._on_sent is not None and block:
            self._on_sent(len(block))
        return block

    def fileno(self) -> int:
        """Tells httpx the length, so that the form has one."""
        return self._file.fileno()


def _blocks_of(read: Callable[[int], bytes], on_sent: BytesCallback | None) -> Iterator[bytes]:
    while block := read(BLOCK_BYTES):
        yield block
        if on_sent is not None:
            on_sent(len(block))

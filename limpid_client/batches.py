"""Batches: many recordings submitted, followed and fetched as one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limpid_client.connection import Connection
from limpid_client.records import RemoteBatch

BATCHES = "/api/v1/batches"
POLL_S = 2.0


class Batches:
    """The batches of one server: `LimpidClient.batches`."""

    def __init__(self, connection: Connection, *, sleep: Callable[[float], None]) -> None:
        self._connection, self._sleep = connection, sleep

    def submit_urls(
        self,
        urls: Sequence[str],
        *,
        preset: str | None = None,
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> RemoteBatch:
        """Let the server fetch these recordings. What is wrong with one fails that item alone."""
        items = [{"input": {"url": url}} for url in urls]
        return self._submit({"items": items}, preset, options, idempotency_key)

    def submit_source(
        self,
        url: str,
        *,
        patterns: Sequence[str] = (),
        preset: str | None = None,
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> RemoteBatch:
        """All recordings below `s3://bucket/prefix`, which the operator allows, that match one of the patterns."""
        source = {"url": url, "patterns": [*patterns]}
        return self._submit({"source": source}, preset, options, idempotency_key)

    def get(self, batch_id: str) -> RemoteBatch:
        """The batch now."""
        return RemoteBatch.from_response(self._connection.get(f"{BATCHES}/{batch_id}"))

    def wait(self, batch: RemoteBatch, *, timeout_s: float | None = None) -> RemoteBatch:
        """The batch once every item has ended, however it did; TimeoutError after `timeout_s`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not batch.has_ended:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"Batch {batch.id} is {batch.status} after {timeout_s:g} s; it goes on.")
            self._sleep(POLL_S)
            batch = self.get(batch.id)
        return batch

    def cancel(self, batch_id: str) -> RemoteBatch:
        """Ask every job that has not ended to stop."""
        return RemoteBatch.from_response(self._connection.post(f"{BATCHES}/{batch_id}/cancel"))

    def download(self, batch: RemoteBatch, path: Path) -> Path:
        """Fetch every file of a batch that has ended, and its manifest, as a ZIP archive at `path`."""
        return self._connection.fetch(f"{BATCHES}/{batch.id}/archive.zip", path)

    def _submit(
        self,
        recordings: Mapping[str, Any],
        preset: str | None,
        options: Mapping[str, Any] | None,
        idempotency_key: str | None,
    ) -> RemoteBatch:
        body = {**(options or {}), **recordings, **({} if preset is None else {"preset": preset})}
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return RemoteBatch.from_response(self._connection.post(BATCHES, json=body, headers=headers))

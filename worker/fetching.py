"""Inputs by URL: fetched by the worker that runs the job, then kept like every other input."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from core.errors import InvalidInput, UnsupportedMedia, of_reference
from core.jobs import InputFile, Job, Progress, Stage
from core.outbound.client import OutboundClient
from core.outbound.fetch import fetch_to
from core.repository import RunRepository
from core.sources.location import is_location, parse_location
from core.sources.source import Sources
from core.storage import ObjectStore
from worker.lease import Lease

logger = logging.getLogger(__name__)


class CheckRecording(Protocol):
    """core.services.check_recording, which loads the decoders: only a worker's child process imports it."""

    def __call__(self, stored: InputFile, source: BinaryIO, *, track: int = 1) -> InputFile: ...


@dataclass(frozen=True, kw_only=True)
class InputFetcher:
    """Fetches inputs. `max_bytes` and `timeout_s` are for one of them."""

    runs: RunRepository
    store: ObjectStore
    client: OutboundClient
    sources: Sources
    check_recording: CheckRecording
    max_bytes: int
    timeout_s: float

    def fetch(self, job: Job, lease: Lease, path: Path) -> InputFile:
        """Fetch the job's input to `path`, check that it is audio, store it, and note what it is.

        A later attempt finds it in the store. Raises what `fetch_to` and `check_recording` raise, StorageError, and
        what `lease.check` raises as soon as the run must stop.
        """
        lease.report(Stage.PREPARE, Progress())
        input_file = self._fetch(job.input, lease, path, track=job.options.get("track", 1))
        lease.persist(lambda: self.runs.record_input(job.id, lease_token=lease.token, input_file=input_file))
        logger.info("input_fetched", extra={"job_id": job.id, "input_bytes": input_file.bytes})
        return input_file

    def fetch_reference(self, job: Job, wanted: InputFile, lease: Lease, path: Path) -> InputFile:
        """The same for `wanted`, the job's reference; what is wrong with it names it."""
        try:
            reference = self._fetch(wanted, lease, path)
        except InvalidInput as error:
            raise of_reference(error) from error
        lease.persist(lambda: self.runs.record_reference(job.id, lease_token=lease.token, reference=reference))
        logger.info("reference_fetched", extra={"job_id": job.id, "reference_bytes": reference.bytes})
        return reference

    def _fetch(self, wanted: InputFile, lease: Lease, path: Path, *, track: int = 1) -> InputFile:
        url = wanted.url
        if url is None:
            raise InvalidInput("The job has neither a recording nor a URL.")
        sha256 = hashlib.sha256()
        with path.open("wb") as file:

            def write(block: bytes) -> None:
                lease.note_progress()
                lease.check()
                sha256.update(block)
                file.write(block)

            found = self._fetch_to(url, wanted, write)
        if not found.bytes:
            raise UnsupportedMedia("The file at the URL is empty (0 bytes).")
        fetched = replace(found, sha256=sha256.hexdigest())
        with path.open("rb") as recording:
            checked = self.check_recording(fetched, recording, track=track)
        lease.persist(lambda: self.store.upload(path, checked.key, media_type=checked.media_type))
        return checked

    def _fetch_to(self, url: str, wanted: InputFile, write: Callable[[bytes], object]) -> InputFile:
        """Hand the file to `write`; what is known of it then."""
        if is_location(url):  # named by a batch: a client's own URL is checked to be http
            size_bytes = self.sources.fetch(parse_location(url), write, max_bytes=self.max_bytes)
            return replace(wanted, bytes=size_bytes)
        found = fetch_to(url, write, max_bytes=self.max_bytes, timeout_s=self.timeout_s, client=self.client)
        return replace(wanted, name=found.name, media_type=found.media_type, bytes=found.bytes)

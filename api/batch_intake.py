"""Batches on their way in: several files of one form, each streamed to the object store, or a list of references."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from fastapi import Request
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool

from api.batch_options import MAX_JSON_BYTES, parse_batch, parse_batch_request
from api.intake import (
    FORM_OVERHEAD_BYTES,
    Incoming,
    QueryOptions,
    body_blocks,
    check_declared_size,
    incoming_from,
    media_type_of,
    open_form,
    read_json,
    recording_media_type,
)
from api.multipart import decode_text
from core.backend import Backend
from core.batches.batch import MAX_ITEMS
from core.errors import StorageError, UnsupportedMedia
from core.ids import new_id
from core.repository import has_job
from core.services import InputUpload, JobRequest, discard_input
from core.settings import Settings
from core.sources.location import Location
from core.sources.source import Sources
from core.webhooks.events import Webhook

logger = logging.getLogger(__name__)

T = TypeVar("T")

PART_OVERHEAD_BYTES = 1024  # the headers of a file in a form

_ACCEPTED = "Send multipart/form-data with the field `file` several times, or application/json with a list of items"


@dataclass(frozen=True, kw_only=True)
class ReceivedBatch:
    """The recordings of a batch, in the order of the request."""

    items: Sequence[Incoming]
    webhook: Webhook | None  # is told when all have ended
    keep: Callable[[], None]  # to be called once every item is a job, or refused and removed
    source: ReceivedSource | None = None  # instead of items


@dataclass(frozen=True, kw_only=True)
class ReceivedSource:
    """Where the recordings of a batch lie, to be listed once it is known that this request makes it."""

    location: Location
    patterns: Sequence[str]
    request: JobRequest  # what is wanted of each

    def items(self, sources: Sources) -> Sequence[Incoming]:
        """Every recording that is there now; blocks. Raises as Sources.find does."""
        found = sources.find(self.location, self.patterns, limit=MAX_ITEMS)
        return [Incoming(job_id=new_id(), upload=None, source=item, request=self.request) for item in found]


async def receive_batch(
    request: Request,
    query: QueryOptions,
    *,
    backend: Backend,
    settings: Settings,
    take: Callable[[ReceivedBatch], T],
) -> T:
    """Stream the request's files into the store, and return what `take` makes of them all, which may block.

    All files together may be as large as a single one. Memory does not grow with them. Files of which `take` made no
    jobs are removed.
    """
    media_type = media_type_of(request)
    if media_type == "application/json":
        text = decode_text(await read_json(request, max_bytes=MAX_JSON_BYTES))
        return await run_in_threadpool(lambda: take(_references(text, query)))
    if media_type != "multipart/form-data":
        raise UnsupportedMedia(f"The request's Content-Type is {media_type[:100] or 'missing'!r}. {_ACCEPTED}.")
    files = _FormFiles(backend, max_bytes=settings.max_upload_bytes)
    form = open_form(request, files.open, max_files=MAX_ITEMS)
    overhead_bytes = FORM_OVERHEAD_BYTES + MAX_ITEMS * PART_OVERHEAD_BYTES
    check_declared_size(request, max_file_bytes=settings.max_upload_bytes, overhead_bytes=overhead_bytes)

    def feed(block: bytes) -> None:
        form.feed(block)

    def finish() -> T:
        form.close()
        job_request, webhook = parse_batch_request(query.fields | form.fields)
        return take(files.finish(job_request, webhook))

    async with contextmanager_in_threadpool(files):
        async for block in body_blocks(
            request, max_file_bytes=settings.max_upload_bytes, overhead_bytes=overhead_bytes
        ):
            await run_in_threadpool(feed, block)
        return await run_in_threadpool(finish)


def _references(text: str, query: QueryOptions) -> ReceivedBatch:
    batch = parse_batch(text, query.fields)
    items = [incoming_from(place, job_request) for place, job_request in batch.items]
    source = None
    if batch.source is not None:
        location, patterns = batch.source.location, batch.source.patterns
        source = ReceivedSource(location=location, patterns=patterns, request=batch.request)
    return ReceivedBatch(items=items, webhook=batch.webhook, keep=lambda: None, source=source)


class _FormFiles:
    """The files of one form, stored one after the other; at the end, those that became no jobs are removed."""

    def __init__(self, backend: Backend, *, max_bytes: int) -> None:
        self._backend = backend
        self._max_bytes = max_bytes
        self._uploads: list[InputUpload] = []
        self._current = ExitStack()
        self._is_kept = False

    def open(self, name: str, media_type: str) -> InputUpload:
        """The place for the next file; the one before is complete."""
        self._complete()
        upload = InputUpload(
            self._backend.store,
            job_id=new_id(),
            name=name,
            media_type=recording_media_type(media_type),
            max_bytes=self._max_bytes,
        )
        self._uploads.append(self._current.enter_context(upload))
        return upload

    def finish(self, request: JobRequest, webhook: Webhook | None) -> ReceivedBatch:
        """Every file, each wanted as `request` says; `webhook` is told when all have ended."""
        self._complete()
        items = [Incoming(job_id=upload.job_id, upload=upload, request=request) for upload in self._uploads]
        return ReceivedBatch(items=items, webhook=webhook, keep=self._keep)

    def _keep(self) -> None:
        self._is_kept = True

    def _complete(self) -> None:
        # An empty one is not stored: whoever takes it learns of that from its `finish`.
        with self._current:
            if self._uploads and self._uploads[-1].bytes:
                self._uploads[-1].finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._current.close()
        if self._is_kept:
            return
        for upload in self._uploads:
            try:
                if has_job(upload.job_id, jobs=self._backend.jobs):
                    continue
            except StorageError:
                logger.warning("input_left_behind", extra={"job_id": upload.job_id})
                continue
            discard_input(self._backend.store, upload.job_id)

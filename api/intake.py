"""Recordings on their way in: a request's body is streamed to the object store and becomes a job."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from email.message import Message
from typing import Protocol, TypeVar

from fastapi import HTTPException, Request
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from python_multipart.multipart import parse_options_header

from api.job_options import (
    FIELD_NAMES,
    InputReference,
    RecordingReference,
    parse_job_request,
    parse_submission,
)
from api.multipart import MAX_FIELD_BYTES, OpenUpload, UploadForm, decode_text
from core.backend import Backend
from core.errors import InputTooLarge, InvalidInput, UnsupportedMedia
from core.ids import new_id
from core.object_keys import reference_key
from core.services import InputUpload, JobRequest, check_request
from core.settings import Settings
from core.sources.source import SourceObject

BLOCK_BYTES = 256 * 1024
"""The body is handed to a thread in blocks of this size, so that the hand-over costs little."""

FORM_OVERHEAD_BYTES = 4 * MAX_FIELD_BYTES
"""A form may be larger than its file by this much."""

STALL_TIMEOUT_S = 60.0
"""A client that sends nothing for so long is gone, though its connection may not know."""

T = TypeVar("T")

_MAX_LENGTH_DIGITS = 18  # of a Content-Length that can be meant

_JSON = "application/json"
_ANY_MEDIA_TYPE = "application/octet-stream"
_RAW_MEDIA_TYPES = re.compile(r"(audio|video)/[\w.+-]{1,60}|application/(octet-stream|ogg)", re.ASCII)
_ACCEPTED = "Send multipart/form-data with the field `file`, or the bytes themselves as audio/* or " + _ANY_MEDIA_TYPE


@dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """What the query string says of the job. A form's fields replace it."""

    preset: str | None = None
    options: str | None = None  # JSON
    name: str | None = None  # of the file, for a raw body

    @property
    def fields(self) -> dict[str, str]:
        """What was given, in the names of the form."""
        given = {"preset": self.preset, "options": self.options}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A recording that has arrived whole, or is elsewhere, and what the client wants of it."""

    job_id: str  # of the job that it may become
    upload: InputUpload | None  # not finished: its bytes are removed unless it is
    request: JobRequest
    url: str | None = None  # without `upload`: where the recording is; None: it is the complete upload of `job_id`
    earlier_id: str | None = None  # without `upload` and `url`: of the job whose recording it is
    source: SourceObject | None = None  # without `upload` and `url`: in which bucket the recording lies
    reference: InputUpload | InputReference | None = None  # a clean version; an InputUpload is not finished either


async def receive(
    request: Request,
    query: QueryOptions,
    *,
    backend: Backend,
    settings: Settings,
    take: Callable[[Incoming], T],
) -> T:
    """Stream the request's body into the store, and return what `take` makes of it, which may block.

    The body is multipart/form-data, the recording's own bytes, or JSON that says where it is. Memory does not grow with
    it. Whatever goes wrong, the client's going away included, leaves nothing behind.
    """
    if media_type_of(request) == _JSON:
        return await _receive_reference(request, query, take=take)
    job_id = new_id()
    uploads = ExitStack()

    def open_upload(name: str, media_type: str, *, key: str | None = None) -> InputUpload:
        upload = InputUpload(
            backend.store,
            job_id=job_id,
            name=name,
            media_type=recording_media_type(media_type),
            max_bytes=settings.max_upload_bytes,
            key=key,
        )
        return uploads.enter_context(upload)

    def open_reference(name: str, media_type: str) -> InputUpload:
        return open_upload(name, media_type, key=reference_key(job_id))

    def feed(block: bytes) -> None:
        body.feed(block)

    def finish() -> T:
        upload = body.close()
        job_request = parse_job_request(query.fields | body.fields)
        return take(Incoming(job_id=job_id, upload=upload, request=job_request, reference=body.reference))

    body = await run_in_threadpool(
        _open_body, request, query, open_upload, open_reference, backend=backend, settings=settings
    )
    check_declared_size(request, max_file_bytes=settings.max_upload_bytes)
    async with contextmanager_in_threadpool(uploads):
        max_file_bytes = settings.max_upload_bytes
        async for block in body_blocks(request, max_file_bytes=max_file_bytes, overhead_bytes=FORM_OVERHEAD_BYTES):
            await run_in_threadpool(feed, block)
        return await run_in_threadpool(finish)


async def _receive_reference(request: Request, query: QueryOptions, *, take: Callable[[Incoming], T]) -> T:
    text = decode_text(await read_json(request, max_bytes=MAX_FIELD_BYTES))

    def finish() -> T:
        submission = parse_submission(text, query.fields)
        return take(replace(incoming_from(submission.input, submission.request), reference=submission.reference))

    return await run_in_threadpool(finish)


def incoming_from(place: RecordingReference, request: JobRequest) -> Incoming:
    """A recording that is elsewhere."""
    return Incoming(
        job_id=place.upload_id or new_id(), upload=None, url=place.url, earlier_id=place.job_id, request=request
    )


async def read_json(request: Request, *, max_bytes: int) -> bytes:
    """The whole body; InputTooLarge past the limit."""
    body = bytearray()
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > max_bytes:
            raise InputTooLarge(f"The JSON is larger than the limit of {max_bytes} bytes.")
    return bytes(body)


class _Body(Protocol):
    """A kind of request body that holds a recording, and its reference or not."""

    fields: dict[str, str]
    reference: InputUpload | None

    def feed(self, data: bytes) -> None: ...

    def close(self) -> InputUpload: ...


@dataclass(kw_only=True)
class _RawBody:
    """The recording's bytes and nothing else."""

    name: str
    media_type: str
    open_upload: OpenUpload
    upload: InputUpload | None = None
    reference: InputUpload | None = None  # never
    fields: dict[str, str] = field(default_factory=dict)

    def feed(self, data: bytes) -> None:
        self._open().write(data)

    def close(self) -> InputUpload:
        return self._open()

    def _open(self) -> InputUpload:
        if self.upload is None:
            self.upload = self.open_upload(self.name, self.media_type)
        return self.upload


def media_type_of(request: Request) -> str:
    """The body's media type, without parameters; empty when the request does not say."""
    kind, _ = parse_options_header(request.headers.get("content-type"))
    return kind.decode("latin-1")


def recording_media_type(stated: str) -> str:
    """What the client stated, if it can be a recording's; `application/octet-stream` otherwise."""
    return stated if _RAW_MEDIA_TYPES.fullmatch(stated) else _ANY_MEDIA_TYPE


def open_form(
    request: Request, open_upload: OpenUpload, *, max_files: int = 1, open_reference: OpenUpload | None = None
) -> UploadForm:
    """The request's body as a form of recordings; InvalidInput when it cannot be one."""
    _, parameters = parse_options_header(request.headers.get("content-type"))
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise InvalidInput("The Content-Type multipart/form-data has no boundary.")
    return UploadForm(
        boundary,
        open_upload=open_upload,
        field_names=FIELD_NAMES,
        max_files=max_files,
        open_reference=open_reference,
    )


def _open_body(
    request: Request,
    query: QueryOptions,
    open_upload: OpenUpload,
    open_reference: OpenUpload,
    *,
    backend: Backend,
    settings: Settings,
) -> _Body:
    media_type = media_type_of(request)
    if media_type == "multipart/form-data":
        return open_form(request, open_upload, open_reference=open_reference)
    if _RAW_MEDIA_TYPES.fullmatch(media_type):
        # All of the options are known: refuse them before gigabytes are read.
        check_request(parse_job_request(query.fields), desk=backend.job_desk(settings))
        return _RawBody(name=query.name or _name_of(request), media_type=media_type, open_upload=open_upload)
    raise UnsupportedMedia(f"The request's Content-Type is {media_type[:100] or 'missing'!r}. {_ACCEPTED}.")


def _name_of(request: Request) -> str:
    """The file's name in Content-Disposition (RFC 6266, `filename*` included), empty without one."""
    header = Message()
    header["Content-Disposition"] = decode_text(request.headers.get("content-disposition", "").encode("latin-1"))
    return header.get_filename("")


def declared_bytes(request: Request) -> int:
    """The body's Content-Length; 0 without one that can be meant."""
    declared = request.headers.get("content-length", "")
    return int(declared[: _MAX_LENGTH_DIGITS + 1]) if declared.isascii() and declared.isdecimal() else 0


def check_declared_size(request: Request, *, max_file_bytes: int, overhead_bytes: int = FORM_OVERHEAD_BYTES) -> None:
    """InputTooLarge when the body will be larger than a file and its overhead, by its Content-Length."""
    if declared_bytes(request) > max_file_bytes + overhead_bytes:
        raise _too_large(max_file_bytes)


async def body_blocks(request: Request, *, max_file_bytes: int, overhead_bytes: int = 0) -> AsyncIterator[bytes]:
    """The body in blocks of at least BLOCK_BYTES but the last; InputTooLarge past `max_file_bytes` + overhead."""
    buffer = bytearray()
    received = 0
    async for chunk in _chunks(request):
        received += len(chunk)
        if received > max_file_bytes + overhead_bytes:
            raise _too_large(max_file_bytes)
        buffer += chunk
        if len(buffer) >= BLOCK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives; status 408 when nothing does for STALL_TIMEOUT_S."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(STALL_TIMEOUT_S):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HTTPException(408, f"Nothing of the file arrived for {STALL_TIMEOUT_S:g} s.") from None
        yield chunk


def _too_large(max_file_bytes: int) -> InputTooLarge:
    return InputTooLarge(f"The file is larger than the limit of {max_file_bytes} bytes.")

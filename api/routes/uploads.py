"""Uploads in parts: straight to the object store where it can take them, else to this server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool

from api.auth import SubmitterDep
from api.deps import BackendDep, JobReaderDep, SettingsDep, UploadIdDep
from api.intake import body_blocks
from api.openapi import problems
from api.rate_limit import rate_limit_headers
from api.submission import SubmissionDesk
from api.upload_views import UploadRequest, UploadView, upload_href
from core.backend import Backend
from core.errors import Conflict, InputTooLarge, InvalidInput, LimitReached, NotFound, StorageError
from core.uploads.services import abort_upload, begin_upload, complete_upload, find_upload
from core.uploads.upload import MAX_PARTS, Upload, UploadStatus

router = APIRouter(prefix="/uploads", tags=["uploads"])


@router.post(
    "",
    status_code=201,
    summary="Begin an upload in parts",
    responses=problems({413: InputTooLarge, 422: InvalidInput, 429: LimitReached, 503: StorageError}),
)
def create_upload(
    wanted: UploadRequest,
    caller: SubmitterDep,
    backend: BackendDep,
    settings: SettingsDep,
    reader: JobReaderDep,
    response: Response,
) -> UploadView:
    """PUT each part's bytes to its `url`, in any order, several at once, and again where it failed. Then `complete` the
    upload, and submit a job with `{"input": {"upload_id": …}}`. What is not used by `expires_at` is removed."""
    desk = SubmissionDesk(caller=caller, backend=backend, settings=settings, reader=reader)
    desk.check_limits(size_bytes=wanted.bytes)
    upload = begin_upload(
        backend.uploads,
        name=wanted.name,
        media_type=wanted.media_type,
        size_bytes=wanted.bytes,
        sha256=wanted.sha256,
        max_bytes=settings.max_upload_bytes,
        lifetime_s=settings.upload_lifetime_s,
        caller=caller,
        now=datetime.now(UTC),
    )
    response.headers.update({"Location": upload_href(upload.id), **rate_limit_headers(desk.standings())})
    return _view(upload, backend)


@router.get(
    "/{upload_id}",
    summary="See which parts have arrived",
    responses=problems({404: NotFound, 503: StorageError}),
)
def get_upload(caller: SubmitterDep, upload_id: UploadIdDep, backend: BackendDep) -> UploadView:
    """To go on where an upload was cut off. The URLs are fresh."""
    return _view(find_upload(upload_id, desk=backend.uploads, caller=caller), backend)


@router.put(
    "/{upload_id}/parts/{number}",
    status_code=204,
    summary="Send a part to this server",
    responses=problems({404: NotFound, 409: Conflict, 413: InputTooLarge, 422: InvalidInput, 503: StorageError}),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_part(
    request: Request,
    caller: SubmitterDep,
    upload_id: UploadIdDep,
    number: Annotated[int, Path(ge=1, le=MAX_PARTS)],
    backend: BackendDep,
) -> None:
    """Where the part's `url` says so, or where the client cannot reach the object store that it names. The body has
    exactly the part's bytes. Sent again, it replaces the first."""
    desk = backend.uploads
    upload = await run_in_threadpool(find_upload, upload_id, desk=desk, caller=caller)
    if upload.status is not UploadStatus.OPEN:
        raise Conflict(f"The upload is {upload.status}.")
    if number > len(upload.parts):
        raise NotFound(f"The upload has {len(upload.parts)} parts.")
    part = upload.parts[number - 1]
    writer = await run_in_threadpool(desk.parts.open_part, upload.key, upload.reference, number)
    received = 0
    async with contextmanager_in_threadpool(writer):
        async for block in body_blocks(request, max_file_bytes=part.bytes):
            received += len(block)
            await run_in_threadpool(writer.write, block)
        if received != part.bytes:
            raise InvalidInput(f"Part {number} has {received} bytes instead of {part.bytes}.")
        await run_in_threadpool(writer.commit)


@router.post(
    "/{upload_id}/complete",
    summary="Complete an upload",
    responses=problems({400: InvalidInput, 404: NotFound, 409: Conflict, 503: StorageError}),
)
def complete(caller: SubmitterDep, upload_id: UploadIdDep, backend: BackendDep) -> UploadView:
    """Joins the parts and reads the whole once, for its SHA-256: some seconds per gigabyte. 409 while parts are
    missing. An upload whose bytes are not as announced ends. May be repeated."""
    upload = find_upload(upload_id, desk=backend.uploads, caller=caller)
    return _view(complete_upload(upload, desk=backend.uploads), backend)


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Abort an upload",
    responses=problems({404: NotFound, 409: Conflict, 503: StorageError}),
)
def delete(caller: SubmitterDep, upload_id: UploadIdDep, backend: BackendDep) -> None:
    """Removes what has arrived."""
    abort_upload(find_upload(upload_id, desk=backend.uploads, caller=caller), desk=backend.uploads)


def _view(upload: Upload, backend: Backend) -> UploadView:
    return UploadView.of(upload, parts=backend.uploads.parts, now=datetime.now(UTC))

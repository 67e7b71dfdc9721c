"""Batches: submit many recordings at once, follow them as one, fetch everything they made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from api.archive import ArchiveEntry, archive_blocks
from api.auth import ReaderDep, SubmitterDep
from api.batch_openapi import BATCH_BODY
from api.batch_submission import submit_batch
from api.batch_views import BatchView, ManifestView, batch_href
from api.deps import BackendDep, IdempotencyKeyDep, JobReaderDep, QueryOptionsDep, SettingsDep
from api.openapi import LOCATION_HEADER, REPLAY_HEADER, RETRY_AFTER_HEADER, UPLOAD_PROBLEMS, problems
from api.rate_limit import rate_limit_headers
from api.submission import SubmissionDesk
from core.access.keys import Caller
from core.backend import Backend
from core.batches.services import MANIFEST_NAME, cancel_batch, check_archivable, files_of, find_batch
from core.errors import Conflict, Expired, NotFound, StorageError
from core.file_names import content_disposition
from core.ids import is_id

router = APIRouter(prefix="/batches", tags=["batches"])

POLL_AFTER_S = 2


def _batch_id(batch_id: Annotated[str, Path(description="As `POST /batches` gave it")]) -> str:
    if not is_id(batch_id):
        raise NotFound(f"There is no batch {batch_id[:100]!r}.")
    return batch_id


BatchIdDep = Annotated[str, Depends(_batch_id)]


@router.post(
    "",
    status_code=202,
    response_model=BatchView,
    summary="Submit several recordings",
    responses={
        202: {"description": "The batch", "headers": {**LOCATION_HEADER, **RETRY_AFTER_HEADER, **REPLAY_HEADER}},
        **UPLOAD_PROBLEMS,
    },
    openapi_extra=BATCH_BODY,
)
async def create_batch(
    request: Request,
    query: QueryOptionsDep,
    caller: SubmitterDep,
    backend: BackendDep,
    settings: SettingsDep,
    reader: JobReaderDep,
    idempotency_key: IdempotencyKeyDep,
) -> Response:
    """Send a form with the field `file` several times, or JSON with a list of items that say where they are.

    What is wrong with the request or its options refuses it as a whole. What is wrong with a recording fails that item
    alone, at once: look at `counts` and `items` of the reply."""
    desk = SubmissionDesk(caller=caller, backend=backend, settings=settings, reader=reader)
    made = await submit_batch(request, query, idempotency_key=idempotency_key, desk=desk)
    limits = rate_limit_headers(await run_in_threadpool(desk.standings))
    headers = {"Location": batch_href(made.batch_id), "Retry-After": str(POLL_AFTER_S), **limits}
    if made.is_replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(made.body, status_code=202, media_type="application/json", headers=headers)


@router.get(
    "/{batch_id}",
    summary="Follow a batch",
    responses={
        200: {"description": "The batch", "headers": RETRY_AFTER_HEADER},
        **problems({404: NotFound, 503: StorageError}),
    },
)
def get_batch(batch_id: BatchIdDep, caller: ReaderDep, backend: BackendDep, response: Response) -> BatchView:
    """The batch and each of its items. It has ended when `status` is not `running`."""
    batch = find_batch(batch_id, batches=backend.batches, caller=caller)
    view = BatchView.of(batch, now=datetime.now(UTC))
    if not view.status.is_terminal:
        response.headers["Retry-After"] = str(POLL_AFTER_S)
    return view


@router.post(
    "/{batch_id}/cancel",
    summary="Cancel a batch",
    responses=problems({404: NotFound, 409: Conflict, 503: StorageError}),
)
def cancel(batch_id: BatchIdDep, caller: SubmitterDep, backend: BackendDep) -> BatchView:
    """Cancels every job that has not ended: those that wait at once, those that run as soon as their workers stop."""
    now = datetime.now(UTC)
    return BatchView.of(cancel_batch(batch_id, batches=backend.batches, caller=caller, now=now), now=now)


@router.get(
    "/{batch_id}/manifest",
    summary="What came in and what came out",
    responses=problems({404: NotFound, 503: StorageError}),
)
def get_manifest(batch_id: BatchIdDep, caller: ReaderDep, backend: BackendDep) -> ManifestView:
    """Names, sizes and SHA-256 of every recording and of every file made so far."""
    batch = find_batch(batch_id, batches=backend.batches, caller=caller)
    items = batch.items(now=datetime.now(UTC))
    return ManifestView.of(batch, items, files_of(items, backend.batches.outputs(batch_id)))


@router.get(
    "/{batch_id}/archive.zip",
    summary="Fetch everything",
    response_class=Response,
    responses={
        200: {"description": "A ZIP archive, not compressed", "content": {"application/zip": {}}},
        **problems({404: NotFound, 409: Conflict, 410: Expired, 503: StorageError}),
    },
)
async def get_archive(batch_id: BatchIdDep, caller: ReaderDep, backend: BackendDep) -> Response:
    """Every file of a batch that has ended, and `manifest.json`, as one archive, made as it is sent."""
    entries = await run_in_threadpool(_entries, batch_id, caller, backend)
    return StreamingResponse(
        archive_blocks(entries),
        media_type="application/zip",
        headers={
            "Content-Disposition": content_disposition(f"batch-{batch_id}.zip"),
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _entries(batch_id: str, caller: Caller, backend: Backend) -> Iterator[ArchiveEntry]:
    now = datetime.now(UTC)
    batch = find_batch(batch_id, batches=backend.batches, caller=caller)
    items = batch.items(now=now)
    check_archivable(items, now=now)
    files = files_of(items, backend.batches.outputs(batch_id))
    manifest = ManifestView.of(batch, items, files).model_dump_json(indent=2).encode()
    backend.store.check()  # before the status is sent, so that a silent store is still told as an error
    stored = [
        ArchiveEntry(
            path=file.path,
            bytes=file.output.bytes,
            modified_at=batch.created_at,
            open=partial(backend.store.open_reader, file.output.key),
        )
        for file in files
    ]
    about = ArchiveEntry(
        path=MANIFEST_NAME, bytes=len(manifest), modified_at=batch.created_at, open=lambda: BytesIO(manifest)
    )
    return iter([about, *stored])

"""Jobs: submit, follow, list, cancel, and fetch what they made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from api.auth import ReaderDep, SubmitterDep
from api.deps import BackendDep, IdempotencyKeyDep, JobIdDep, JobReaderDep, QueryOptionsDep, SettingsDep
from api.downloads import is_not_modified, send_output
from api.openapi import (
    ETAG_HEADER,
    LOCATION_HEADER,
    NOT_MODIFIED,
    REPLAY_HEADER,
    RETRY_AFTER_HEADER,
    UPLOAD_BODY,
    UPLOAD_PROBLEMS,
    problem,
    problems,
)
from api.polling import MAX_WAIT_S, JobDocument, wait_for_job
from api.rate_limit import rate_limit_headers
from api.schemas import JobListView, JobView, job_href
from api.submission import SubmissionDesk, submit
from core.access.keys import Caller
from core.backend import Backend
from core.errors import Conflict, Expired, Gone, InvalidOptions, NotFound, StorageError
from core.jobs import JobStatus, OutputFile
from core.retention import check_not_expired, delete_job
from core.services import cancel_job, find_job

router = APIRouter(prefix="/jobs", tags=["jobs"])

POLL_AFTER_S = 1
PRESIGNED_URL_S = 3600  # a download may start this long after the redirect
MAX_PAGE = 200
RedirectDep = Annotated[
    bool,
    Query(description="false: send the file through this server, for a page that may not talk to the object store"),
]
_CURSOR = r"^[\w.:=-]{1,200}$"


@router.post(
    "",
    status_code=202,
    response_model=JobView,
    summary="Submit a recording",
    responses={
        200: {
            "description": "With `dedupe`: the earlier job that made the same",
            "model": JobView,
            "headers": LOCATION_HEADER,
        },
        202: {"description": "The job, queued", "headers": {**LOCATION_HEADER, **RETRY_AFTER_HEADER, **REPLAY_HEADER}},
        **UPLOAD_PROBLEMS,
    },
    openapi_extra=UPLOAD_BODY,
)
async def create_job(
    request: Request,
    query: QueryOptionsDep,
    caller: SubmitterDep,
    backend: BackendDep,
    settings: SettingsDep,
    reader: JobReaderDep,
    idempotency_key: IdempotencyKeyDep,
) -> Response:
    """Send a form with the field `file`, the bytes themselves, or JSON that says where they are. A file is streamed,
    and its header is read before the job is queued, so that what is not audio is refused at once.

    With an Idempotency-Key, the same request sent again within 24 hours gets the first one's reply again, and no second
    job."""
    desk = SubmissionDesk(caller=caller, backend=backend, settings=settings, reader=reader)
    made = await submit(request, query, idempotency_key=idempotency_key, desk=desk)
    headers = {"Location": job_href(made.job_id), **rate_limit_headers(await run_in_threadpool(desk.standings))}
    if made.status == 202:
        headers["Retry-After"] = str(POLL_AFTER_S)
    if made.is_replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(made.body, status_code=made.status, media_type="application/json", headers=headers)


@router.get(
    "/{job_id}",
    response_model=JobView,
    summary="Follow a job",
    responses={
        200: {"description": "The job", "headers": {**ETAG_HEADER, **RETRY_AFTER_HEADER}},
        **NOT_MODIFIED,
        **problems({404: NotFound, 410: Gone, 503: StorageError}),
    },
)
async def get_job(
    request: Request,
    caller: ReaderDep,
    job_id: JobIdDep,
    reader: JobReaderDep,
    wait: Annotated[
        float,
        Query(
            ge=0,
            le=MAX_WAIT_S,
            description="Hold the answer for up to this many seconds: until the job ends, or, with If-None-Match, "
            "until anything about it changes.",
        ),
    ] = 0.0,
) -> Response:
    """A job with its progress. Poll it, or let `wait` tell you at once."""
    document = await wait_for_job(request, reader.following(job_id, caller), is_awaited=_is_news(request), wait_s=wait)
    headers = {"ETag": document.etag, "Cache-Control": "private, no-cache"}
    if not document.view.status.is_terminal:
        headers["Retry-After"] = str(POLL_AFTER_S)
    if is_not_modified(request, document.etag):
        return Response(status_code=304, headers=headers)
    return Response(document.body, media_type="application/json", headers=headers)


@router.get("", summary="List jobs", responses=problems({422: InvalidOptions, 503: StorageError}))
def list_jobs(
    caller: ReaderDep,
    backend: BackendDep,
    status: Annotated[JobStatus | None, Query(description="Only jobs in this state")] = None,
    batch: Annotated[str | None, Query(pattern=_CURSOR, description="Only jobs of this batch")] = None,
    cursor: Annotated[str | None, Query(pattern=_CURSOR, description="`next_cursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> JobListView:
    """The newest jobs first, page by page."""
    owner = None if caller.is_admin else caller.owner
    page = backend.jobs.list(owner=owner, status=status, batch_id=batch, cursor=cursor, limit=limit)
    return JobListView(jobs=[JobView.of(job, queue_position=None) for job in page.jobs], next_cursor=page.next_cursor)


@router.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    responses=problems({404: NotFound, 409: Conflict, 410: Gone, 503: StorageError}),
)
def cancel(caller: SubmitterDep, job_id: JobIdDep, backend: BackendDep, reader: JobReaderDep) -> JobView:
    """A queued job is cancelled at once. A running one is `cancelling` until its worker has stopped."""
    return reader.view(cancel_job(job_id, jobs=backend.jobs, caller=caller, now=datetime.now(UTC)))


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Delete a job and its files",
    responses=problems({404: NotFound, 409: Conflict, 410: Gone, 503: StorageError}),
)
def delete(caller: SubmitterDep, job_id: JobIdDep, backend: BackendDep) -> None:
    """Removes the recording and the results at once, and answers 410 for the job from then on. A queued job is
    cancelled; one that runs is refused (409): cancel it, and delete it once it is `cancelled`."""
    job = find_job(job_id, jobs=backend.jobs, caller=caller)
    delete_job(job, jobs=backend.jobs, retention=backend.jobs, store=backend.store, now=datetime.now(UTC))


@router.head("/{job_id}/outputs/{name}", include_in_schema=False)
@router.get(
    "/{job_id}/outputs/{name}",
    summary="Fetch a result",
    response_class=Response,
    responses={
        200: {"description": "The file", "content": {"application/octet-stream": {}}, "headers": ETAG_HEADER},
        206: {"description": "The part that Range asks for"},
        307: {"description": "The file is at this URL, which needs no key and is good for an hour"},
        **NOT_MODIFIED,
        **problems({404: NotFound, 409: Conflict, 410: Expired, 503: StorageError}),
        416: problem("The range lies outside the file"),
    },
)
async def get_output(
    request: Request,
    caller: ReaderDep,
    job_id: JobIdDep,
    name: str,
    backend: BackendDep,
    redirect: RedirectDep = True,
) -> Response:
    """One file of a finished job, whole or by Range. Where the store can serve it by itself, a redirect to it."""
    output = await run_in_threadpool(_find_output, job_id, name, backend, caller)
    return await _deliver(request, output, backend, redirect=redirect)


@router.head("/{job_id}/input", include_in_schema=False)
@router.get(
    "/{job_id}/input",
    summary="Fetch the recording that was submitted",
    response_class=Response,
    responses={
        200: {"description": "The file", "content": {"application/octet-stream": {}}, "headers": ETAG_HEADER},
        206: {"description": "The part that Range asks for"},
        307: {"description": "The file is at this URL, which needs no key and is good for an hour"},
        **NOT_MODIFIED,
        **problems({404: NotFound, 409: Conflict, 410: Expired, 503: StorageError}),
        416: problem("The range lies outside the file"),
    },
)
async def get_input(
    request: Request, caller: ReaderDep, job_id: JobIdDep, backend: BackendDep, redirect: RedirectDep = True
) -> Response:
    """The job's recording as it came, whole or by Range, to hear what was before. 409 until it has been fetched from
    its URL."""
    recording = await run_in_threadpool(_find_input, job_id, backend, caller)
    return await _deliver(request, recording, backend, redirect=redirect)


def _is_news(request: Request) -> Callable[[JobDocument], bool]:
    if "if-none-match" in request.headers:
        return lambda document: not is_not_modified(request, document.etag)
    return lambda document: document.view.status.is_terminal


async def _deliver(request: Request, file: OutputFile, backend: Backend, *, redirect: bool) -> Response:
    # A presigned URL is for GET alone, so HEAD is answered here.
    if redirect and request.method == "GET" and (url := await run_in_threadpool(_presign, file, backend)):
        return RedirectResponse(url, status_code=307, headers={"Cache-Control": "no-store"})
    return await send_output(request, file, store=backend.store)


def _find_input(job_id: str, backend: Backend, caller: Caller) -> OutputFile:
    job = find_job(job_id, jobs=backend.jobs, caller=caller)
    check_not_expired(job, now=datetime.now(UTC))
    recording = job.input
    if not recording.is_stored:
        raise Conflict("The job's recording has not been fetched from its URL.")
    return OutputFile(
        name=recording.name,
        role="input",
        key=recording.key,
        bytes=recording.bytes,
        sha256=recording.sha256,
        media_type=recording.media_type,
    )


def _find_output(job_id: str, name: str, backend: Backend, caller: Caller) -> OutputFile:
    job = find_job(job_id, jobs=backend.jobs, caller=caller)
    if job.status is not JobStatus.SUCCEEDED:
        raise Conflict(f"The job is {job.status}: it has no outputs{'' if job.status.is_terminal else ' yet'}.")
    for output in job.outputs:
        if output.name == name:
            check_not_expired(job, now=datetime.now(UTC))
            return output
    raise NotFound(f"The job has no output {name[:200]!r}.")


def _presign(output: OutputFile, backend: Backend) -> str | None:
    return backend.store.presign_get(
        output.key, file_name=output.name, media_type=output.media_type, expires_s=PRESIGNED_URL_S
    )

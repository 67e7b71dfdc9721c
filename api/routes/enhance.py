"""The simple interface: one request in, the enhanced file out. The work is a job like any other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.auth import SubmitterDep
from api.deps import BackendDep, JobReaderDep, QueryOptionsDep, SettingsDep
from api.downloads import send_output
from api.errors import problem_response, status_of_code
from api.openapi import LOCATION_HEADER, RETRY_AFTER_HEADER, UPLOAD_BODY, UPLOAD_PROBLEMS, problem
from api.polling import wait_for_job
from api.routes.jobs import POLL_AFTER_S
from api.schemas import job_href
from api.submission import SubmissionDesk, submit_at_once
from core.backend import Backend
from core.errors import Conflict
from core.jobs import Job, JobStatus
from core.services import cancel_job

router = APIRouter(prefix="/api", tags=["simple"])

DEFAULT_TIMEOUT_S = 300.0
MAX_TIMEOUT_S = 3600.0


@router.post(
    "/enhance",
    summary="Enhance a recording and wait for it",
    response_class=Response,
    responses={
        200: {
            "description": "The enhanced file",
            "content": {"audio/wav": {}},
            "headers": {
                "X-Processing-Time": {"description": "Seconds from the job's start", "schema": {"type": "number"}},
                "X-Duration": {"description": "Seconds of audio", "schema": {"type": "number"}},
                "X-RTF": {"description": "Processing time per duration", "schema": {"type": "number"}},
            },
        },
        202: {
            **problem("Not done in time, and going on: a problem that says where the job is"),
            "headers": {**LOCATION_HEADER, **RETRY_AFTER_HEADER},
        },
        **UPLOAD_PROBLEMS,
    },
    openapi_extra=UPLOAD_BODY,
)
async def enhance(
    request: Request,
    query: QueryOptionsDep,
    caller: SubmitterDep,
    backend: BackendDep,
    settings: SettingsDep,
    reader: JobReaderDep,
    timeout_s: Annotated[
        float, Query(gt=0, le=MAX_TIMEOUT_S, description="Wait at most this long")
    ] = DEFAULT_TIMEOUT_S,
) -> Response:
    """The same body as `POST /api/v1/jobs`. Answers with the first output. Going away cancels the job."""
    job = await submit_at_once(
        request, query, desk=SubmissionDesk(caller=caller, backend=backend, settings=settings, reader=reader)
    )
    document = await wait_for_job(
        request,
        reader.following(job.id, caller),
        is_awaited=lambda document: document.view.status.is_terminal,
        wait_s=timeout_s,
    )
    if document.view.status.is_terminal:
        return await _answer(request, await run_in_threadpool(backend.jobs.get, job.id), backend)
    if await request.is_disconnected():
        await run_in_threadpool(cancel_job, job.id, jobs=backend.jobs, caller=caller, now=datetime.now(UTC))
    return problem_response(
        request,
        202,
        code="still_running",
        title="The job is still running",
        detail=f"Not done within {timeout_s:g} s. It goes on: ask for the job at the Location of this response.",
        headers={"Location": job_href(job.id), "Retry-After": str(POLL_AFTER_S)},
    )


async def _answer(request: Request, job: Job, backend: Backend) -> Response:
    headers = {"Content-Location": job_href(job.id)}
    if job.error is not None:
        error = job.error
        status = status_of_code(error.code)
        return problem_response(
            request, status, code=error.code, title=error.title, detail=error.detail, headers=headers
        )
    if job.status is not JobStatus.SUCCEEDED or not job.outputs:
        raise Conflict(f"The job is {job.status}: there is no result.")
    response = await send_output(request, job.outputs[0], store=backend.store)
    response.headers.update({**headers, **_figures(job)})
    return response


def _figures(job: Job) -> dict[str, str]:
    figures = {"X-Duration": job.progress.duration_s, "X-RTF": job.progress.rtf}
    if job.started_at and job.finished_at:
        figures["X-Processing-Time"] = (job.finished_at - job.started_at).total_seconds()
    return {name: f"{value:.3f}" for name, value in figures.items() if value is not None}

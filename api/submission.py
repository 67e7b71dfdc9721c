"""POST /jobs, from the body that arrives to the reply: once per Idempotency-Key, and not again for a duplicate."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from fastapi import Request
from fastapi.concurrency import contextmanager_in_threadpool

from api.intake import Incoming, QueryOptions, receive
from api.polling import JobDocument, view_job
from core.access.keys import Caller
from core.backend import Backend
from core.duplicates import find_result
from core.errors import NotFound
from core.idempotency import IdempotentAttempt, fingerprint_of, parse_key
from core.jobs import Job
from core.services import check_request, submit_job, submit_url
from core.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The reply to a request that submits a recording."""

    job_id: str
    status: int  # 202, or 200 for the result of an earlier job
    body: str
    is_replayed: bool = False


async def submit(
    request: Request,
    query: QueryOptions,
    *,
    idempotency_key: str | None,
    caller: Caller,
    backend: Backend,
    settings: Settings,
) -> Submission:
    """Receive a recording and make a job of it, or find the one that an earlier request made.

    With an `idempotency_key`: IdempotencyInFlight, before the body is read, while another request holds the key;
    IdempotencyMismatch when the key was used for something else.
    """
    attempt: IdempotentAttempt | None = None
    if idempotency_key is not None:
        attempt = IdempotentAttempt(
            backend.idempotency,
            owner=caller.owner,
            key=parse_key(idempotency_key),
            has_job=lambda job_id: _has_job(backend, job_id),
        )

    def take(incoming: Incoming) -> Submission:
        earlier = None
        if attempt is not None:
            earlier = attempt.settle(_fingerprint(incoming), job_id=incoming.job_id)
        if earlier is not None and earlier.body is not None:
            job_id, status = earlier.job_id or "", earlier.status or 202
            return Submission(job_id=job_id, status=status, body=earlier.body, is_replayed=True)
        if earlier is not None and earlier.job_id is not None:
            job, status = backend.jobs.get(earlier.job_id), 202
        else:
            job, status = take_job(incoming, caller=caller, backend=backend, settings=settings)
        body = JobDocument.of(view_job(job, backend)).body.decode()
        if attempt is not None:
            attempt.complete(job_id=job.id, status=status, body=body)
        return Submission(job_id=job.id, status=status, body=body, is_replayed=earlier is not None)

    on_block = None if attempt is None else attempt.keep_alive
    async with contextmanager_in_threadpool(attempt or nullcontext()):
        return await receive(request, query, backend=backend, settings=settings, take=take, on_block=on_block)


async def submit_at_once(
    request: Request, query: QueryOptions, *, caller: Caller, backend: Backend, settings: Settings
) -> Job:
    """Receive a recording and make a job of it, without regard to an Idempotency-Key."""

    def take(incoming: Incoming) -> Job:
        return take_job(incoming, caller=caller, backend=backend, settings=settings)[0]

    return await receive(request, query, backend=backend, settings=settings, take=take)


def take_job(incoming: Incoming, *, caller: Caller, backend: Backend, settings: Settings) -> tuple[Job, int]:
    """The job for a recording that has arrived, and the status of the reply; blocks.

    202 and a new job; or 200 and, where the client asks not to do again what was done, the job that did it.
    """
    now = datetime.now(UTC)
    if incoming.upload is None:
        job = submit_url(
            incoming.url or "",
            incoming.request,
            job_id=incoming.job_id,
            owner=caller.owner,
            jobs=backend.jobs,
            queue=backend.queue,
            outbound=backend.outbound,
            settings=settings,
            now=now,
        )
        return job, 202
    if incoming.request.dedupe:
        result = find_result(
            incoming.upload.sha256,
            check_request(incoming.request, outbound=backend.outbound, settings=settings),
            size_bytes=incoming.upload.bytes,
            owner=caller.owner,
            jobs=backend.jobs,
            models_dir=settings.resolved_models_dir,
            now=now,
        )
        if result is not None:
            return result, 200
    job = submit_job(
        incoming.upload.finish(),
        incoming.request,
        job_id=incoming.job_id,
        owner=caller.owner,
        store=backend.store,
        jobs=backend.jobs,
        queue=backend.queue,
        outbound=backend.outbound,
        settings=settings,
        now=now,
    )
    return job, 202


def _fingerprint(incoming: Incoming) -> str:
    upload = incoming.upload
    recording = (
        {"url": incoming.url}
        if upload is None
        else {"name": upload.name, "bytes": upload.bytes, "sha256": upload.sha256}
    )
    return fingerprint_of({"recording": recording, "request": asdict(incoming.request)})


def _has_job(backend: Backend, job_id: str) -> bool:
    try:
        backend.jobs.get(job_id)
    except NotFound:
        return False
    return True

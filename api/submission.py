"""POST /jobs, from the body that arrives to the reply: once per Idempotency-Key, and not again for a duplicate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import Request
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool

from api.intake import Incoming, QueryOptions, declared_bytes, receive
from api.job_options import InputReference
from api.polling import JobDocument, JobReader
from core.access.keys import Caller
from core.access.limits import Standing, check_limits, standings
from core.backend import Backend
from core.duplicates import find_result
from core.errors import Conflict, NotFound
from core.idempotency import IdempotentAttempt, fingerprint_of, parse_key
from core.job_desk import JobDesk
from core.jobs import InputFile, Job
from core.object_keys import input_key
from core.options import EnhanceOptions
from core.references import check_comparable, reference_at, reference_of_upload, reference_received
from core.repository import has_job
from core.retention import check_not_expired
from core.services import (
    InputUpload,
    JobRequest,
    check_request,
    file_at,
    find_job,
    submit_job,
    submit_unfetched,
)
from core.settings import Settings
from core.uploads.services import find_upload, taken
from core.uploads.upload import Upload, UploadStatus

CREATED = 202
FOUND = 200  # the result of an earlier job


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The reply to a request that submits a recording."""

    job_id: str
    status: int  # CREATED or FOUND
    body: str
    is_replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class SubmissionDesk:
    """Makes jobs for one caller."""

    caller: Caller
    backend: Backend
    settings: Settings
    reader: JobReader

    @property
    def job_desk(self) -> JobDesk:
        """What makes jobs on this server."""
        return self.backend.job_desk(self.settings)

    def check_limits(self, *, size_bytes: int) -> None:
        """LimitReached when the caller's API key may not submit `size_bytes` more; blocks."""
        if self.settings.key_limits.refuse and self.caller.owner is not None:
            now = datetime.now(UTC)
            usage = self.backend.usage.usage(self.caller.owner, now=now)
            check_limits(self.settings.key_limits, usage, size_bytes=size_bytes, now=now)

    def standings(self) -> Sequence[Standing]:
        """What is left of the limits of the caller's API key; blocks."""
        if not self.settings.key_limits.refuse or self.caller.owner is None:
            return ()
        now = datetime.now(UTC)
        return standings(self.settings.key_limits, self.backend.usage.usage(self.caller.owner, now=now), now=now)

    def take(self, incoming: Incoming) -> tuple[Job, int]:
        """The job for what has arrived, and the status of the reply; blocks.

        CREATED and a new job; or FOUND and, where the client asks not to do again what was done, the job that did it.
        """
        reference = incoming.reference
        reference_bytes = reference.bytes if isinstance(reference, InputUpload) else 0
        if incoming.url is not None:
            self.check_limits(size_bytes=0)  # nobody knows yet how many it has
            with self._reference(incoming) as stored:
                recording = file_at(incoming.url, key=input_key(incoming.job_id), outbound=self.backend.outbound)
                return self._submit_unfetched(recording, incoming, reference=stored), CREATED
        if incoming.source is not None:
            self.check_limits(size_bytes=incoming.source.bytes)
            recording = incoming.source.as_input(input_key(incoming.job_id))
            return self._submit_unfetched(recording, incoming), CREATED
        if incoming.earlier_id is not None:
            return self._take_again(incoming.earlier_id, incoming)
        if incoming.upload is None:
            return self._take_upload(incoming)
        upload = incoming.upload
        result = self._find_result(incoming, sha256=upload.sha256, size_bytes=upload.bytes)
        if result is not None:
            return result, FOUND
        self.check_limits(size_bytes=upload.bytes + reference_bytes)
        with self._reference(incoming) as stored:
            return self._submit(upload.finish(), incoming, reference=stored), CREATED

    def _take_upload(self, incoming: Incoming) -> tuple[Job, int]:
        """What is wrong with the options leaves the upload as it is."""
        upload = self._find_upload(incoming.job_id)
        if upload.status is not UploadStatus.COMPLETE:
            raise Conflict(f"The upload is {upload.status}. Complete it first.")
        self.check_request(incoming.request)
        result = self._find_result(incoming, sha256=upload.sha256 or "", size_bytes=upload.bytes)
        if result is not None:
            return result, FOUND
        self.check_limits(size_bytes=upload.bytes)
        # The reference first: what is wrong with it must not end the recording's upload.
        with self._reference(incoming) as reference, taken(upload, desk=self.backend.uploads) as stored:
            return self._submit(stored, incoming, reference=reference, is_kept=True), CREATED

    def _take_again(self, earlier_id: str, incoming: Incoming) -> tuple[Job, int]:
        """A job of an earlier job's recording, which is copied, or fetched once more where it never came."""
        now = datetime.now(UTC)
        self.check_request(incoming.request)
        earlier = find_job(earlier_id, jobs=self.backend.jobs, caller=self.caller)
        recording = replace(earlier.input, key=input_key(incoming.job_id))
        if not recording.is_stored:
            self.check_limits(size_bytes=recording.bytes)
            with self._reference(incoming) as reference:
                return self._submit_unfetched(recording, incoming, reference=reference), CREATED
        check_not_expired(earlier, now=now)
        result = self._find_result(incoming, sha256=recording.sha256, size_bytes=recording.bytes)
        if result is not None:
            return result, FOUND
        self.check_limits(size_bytes=recording.bytes)
        with self._reference(incoming) as reference:
            self.backend.store.copy(earlier.input.key, recording.key, media_type=recording.media_type)
            return self._submit(replace(recording, url=None), incoming, reference=reference), CREATED

    @contextmanager
    def _reference(self, incoming: Incoming) -> Iterator[InputFile | None]:
        """The clean reference, where there is one, kept for the job that is made inside."""
        reference, desk = incoming.reference, self.backend.uploads
        if reference is None:
            yield None
            return
        check_comparable(self.check_request(incoming.request))
        if isinstance(reference, InputUpload):
            with reference_received(reference, desk=desk, settings=self.settings) as stored:
                yield stored
        elif reference.url is not None:
            yield reference_at(reference.url, job_id=incoming.job_id, outbound=self.backend.outbound)
        else:
            upload = self._reference_upload(reference)
            with reference_of_upload(upload, job_id=incoming.job_id, desk=desk, settings=self.settings) as stored:
                yield stored

    def check_request(self, request: JobRequest) -> EnhanceOptions:
        """What core.services.check_request says of the request on this server."""
        return check_request(request, desk=self.job_desk)

    def _reference_upload(self, reference: InputReference) -> Upload:
        return find_upload(reference.upload_id or "", desk=self.backend.uploads, caller=self.caller)

    def _find_upload(self, upload_id: str) -> Upload:
        try:
            return find_upload(upload_id, desk=self.backend.uploads, caller=self.caller)
        except NotFound:
            if has_job(upload_id, jobs=self.backend.jobs) and self.caller.sees(self.backend.jobs.get(upload_id)):
                raise Conflict("A job has been made of this upload: its id is the upload's.") from None
            raise

    def _find_result(self, incoming: Incoming, *, sha256: str, size_bytes: int) -> Job | None:
        request, reference = incoming.request, incoming.reference
        if not request.dedupe:
            return None
        reference_sha256 = None
        if isinstance(reference, InputUpload):
            reference_sha256 = reference.sha256
        elif reference is not None:
            if reference.url is not None:
                return None  # nobody knows what is there now
            reference_sha256 = self._reference_upload(reference).sha256
        return find_result(
            sha256,
            self.check_request(request),
            size_bytes=size_bytes,
            reference_sha256=reference_sha256,
            owner=self.caller.owner,
            jobs=self.backend.jobs,
            models_dir=self.settings.resolved_models_dir,
            now=datetime.now(UTC),
        )

    def _submit(
        self, stored: InputFile, incoming: Incoming, *, reference: InputFile | None, is_kept: bool = False
    ) -> Job:
        return submit_job(
            stored,
            incoming.request,
            job_id=incoming.job_id,
            owner=self.caller.owner,
            reference=reference,
            is_kept=is_kept,
            desk=self.job_desk,
            now=datetime.now(UTC),
        )

    def _submit_unfetched(
        self, input_file: InputFile, incoming: Incoming, *, reference: InputFile | None = None
    ) -> Job:
        return submit_unfetched(
            input_file,
            incoming.request,
            job_id=incoming.job_id,
            owner=self.caller.owner,
            reference=reference,
            desk=self.job_desk,
            now=datetime.now(UTC),
        )


async def submit(
    request: Request, query: QueryOptions, *, idempotency_key: str | None, desk: SubmissionDesk
) -> Submission:
    """Receive a recording, or where it is, and make a job of it, or find the one that an earlier request made.

    With an `idempotency_key`: IdempotencyInFlight, before the body is read, while another request holds the key;
    IdempotencyMismatch when the key was used for something else.
    """
    attempt: IdempotentAttempt | None = None
    if idempotency_key is not None:
        attempt = IdempotentAttempt(
            desk.backend.idempotency,
            owner=desk.caller.owner,
            key=parse_key(idempotency_key),
            has_job=partial(has_job, jobs=desk.backend.jobs),
        )

    def take(incoming: Incoming) -> Submission:
        return _take_once(incoming, desk=desk, attempt=attempt)

    if attempt is None:
        await run_in_threadpool(desk.check_limits, size_bytes=declared_bytes(request))
    async with contextmanager_in_threadpool(attempt or nullcontext()):
        return await receive(request, query, backend=desk.backend, settings=desk.settings, take=take)


async def submit_at_once(request: Request, query: QueryOptions, *, desk: SubmissionDesk) -> Job:
    """Receive a recording and make a job of it, without regard to an Idempotency-Key."""
    await run_in_threadpool(desk.check_limits, size_bytes=declared_bytes(request))
    return await receive(
        request,
        query,
        backend=desk.backend,
        settings=desk.settings,
        take=lambda incoming: desk.take(incoming)[0],
    )


def _take_once(incoming: Incoming, *, desk: SubmissionDesk, attempt: IdempotentAttempt | None) -> Submission:
    """The reply for what has arrived, or for what arrived in an earlier attempt."""
    earlier = None
    if attempt is not None:
        earlier = attempt.settle(_fingerprint(incoming), job_id=incoming.job_id)
    if earlier is not None and earlier.body is not None:
        status = earlier.status or CREATED
        return Submission(job_id=earlier.job_id or "", status=status, body=earlier.body, is_replayed=True)
    if earlier is not None and earlier.job_id is not None:
        job, status = desk.backend.jobs.get(earlier.job_id), CREATED
    else:
        job, status = desk.take(incoming)
    body = JobDocument.of(desk.reader.view(job)).body.decode()
    if attempt is not None:
        attempt.complete(job_id=job.id, status=status, body=body)
    return Submission(job_id=job.id, status=status, body=body, is_replayed=earlier is not None)


def _fingerprint(incoming: Incoming) -> str:
    return fingerprint_of(describe(incoming))


def describe(incoming: Incoming) -> Mapping[str, Any]:
    """What makes two requests the same: the recording, its reference, and what is wanted of it."""
    upload, reference = incoming.upload, incoming.reference
    if upload is not None:
        recording = _described(upload)
    elif incoming.url is not None:
        recording = {"url": incoming.url}
    elif incoming.earlier_id is not None:
        recording = {"job_id": incoming.earlier_id}
    else:
        recording = {"upload_id": incoming.job_id}
    described: dict[str, Any] = {"recording": recording, "request": asdict(incoming.request)}
    if isinstance(reference, InputUpload):
        described["reference"] = _described(reference)
    elif reference is not None:
        described["reference"] = reference.model_dump(exclude_none=True)
    return described


def _described(upload: InputUpload) -> dict[str, Any]:
    return {"name": upload.name, "bytes": upload.bytes, "sha256": upload.sha256}

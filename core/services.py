"""Use cases: take a recording in, make a job of it, cancel it. Collaborators come as arguments."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, Self

from opentelemetry.trace import SpanKind

from core.access.keys import Caller
from core.audio.isolation import probe_isolated
from core.errors import Gone, InputTooLarge, ModelUnavailable, NotFound, QueueError, StorageError, UnsupportedMedia
from core.file_names import safe_file_name
from core.job_desk import JobDesk
from core.jobs import BatchPlace, Device, InputFile, Job, JobStatus, Lane, Progress
from core.model_catalogue import Origin, find_model
from core.monitoring.tracing import current_traceparent, span
from core.object_keys import input_key, job_prefix
from core.options import EnhanceOptions, resolve_options
from core.outbound.client import OutboundClient
from core.outbound.fetch import ANY_MEDIA_TYPE, name_of
from core.presets import DEFAULT_PRESET
from core.queue import job_queue_name
from core.repository import JobRepository
from core.settings import Settings
from core.storage import ObjectStore
from core.webhooks.events import Webhook
from core.webhooks.service import check_webhook

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What a client asks for, beside the recording itself."""

    preset: str = DEFAULT_PRESET
    overrides: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[Mapping[str, Any]] | None = None  # None: as the preset says
    lane: Lane = Lane.INTERACTIVE
    metadata: Mapping[str, Any] = field(default_factory=dict)  # the client's own, returned untouched
    dedupe: bool = False  # an earlier job's result will do, if it would be the same
    webhook: Webhook | None = None
    batch: BatchPlace | None = None


class InputUpload:
    """A recording on its way into the object store: counted and hashed as it passes, never held.

    Use as a context manager, `write` in order, then `finish`. Leaving without `finish` removes every trace. `name` is
    the user's name for the file, of any content; it never becomes part of a key. One more byte than `max_bytes` raises
    InputTooLarge at once, so that the rest need not be read. `name` is then safe to show, `bytes` and `sha256` are
    of what was written so far.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        job_id: str,
        name: str,
        media_type: str,
        max_bytes: int,
        key: str | None = None,  # None: that of the job's recording
    ) -> None:
        self.job_id = job_id
        self._key = key or input_key(job_id)
        self.name = safe_file_name(name)
        self.bytes = 0
        self._media_type = media_type
        self._max_bytes = max_bytes
        self._sha256 = hashlib.sha256()
        self._writer = store.open_writer(self._key, media_type=media_type)
        self._finished: InputFile | None = None

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def write(self, data: bytes) -> None:
        """Pass the next bytes on; InputTooLarge past the limit, StorageError when the store does not take them."""
        self.bytes += len(data)
        if self.bytes > self._max_bytes:
            raise InputTooLarge(f"The file is larger than the limit of {self._max_bytes} bytes.")
        self._sha256.update(data)
        self._writer.write(data)

    def finish(self) -> InputFile:
        """Make the object visible, whole; UnsupportedMedia when nothing was written. Again: the same answer."""
        if not self.bytes:
            raise UnsupportedMedia(f"The file {self.name!r} is empty (0 bytes).")
        if self._finished is None:
            self._writer.commit()
            self._finished = InputFile(
                name=self.name,
                key=self._key,
                bytes=self.bytes,
                sha256=self.sha256,
                media_type=self._media_type,
            )
        return self._finished

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


def check_request(request: JobRequest, *, desk: JobDesk) -> EnhanceOptions:
    """The resolved options; UnknownPreset, InvalidOptions or ModelUnavailable when the job could not run.

    ForbiddenUrl when its webhook must not be called.
    """
    settings = desk.settings
    options = resolve_options(request.preset, request.overrides, request.outputs, operator=settings.operator_defaults)
    if options.model is not None:
        record = find_model(options.model)
        has_model = record.is_installed(settings.resolved_models_dir)
        if not (has_model if desk.installed is None else desk.installed.has(record.name)):
            remedies = {
                Origin.PULLED: f" The operator can: `{record.how_to_get}`.",
                Origin.TRAINED: f" {record.how_to_get}.",
            }
            raise ModelUnavailable(
                f"Preset {options.preset!r} needs the model {record.name!r}, which is not installed."
                f"{remedies.get(record.origin, '')}"
            )
    if request.webhook is not None:
        check_webhook(request.webhook, outbound=desk.outbound, settings=settings)
    return options


def submit_job(
    stored: InputFile,
    request: JobRequest,
    *,
    job_id: str,
    owner: str | None = None,
    reference: InputFile | None = None,
    is_kept: bool = False,
    desk: JobDesk,
    now: datetime,
) -> Job:
    """Make a job of the stored recording, `owner`'s, and tell the workers; returns it as queued.

    The report will compare it with `reference` (core.references, which checks it). Whatever is wrong (UnsupportedMedia,
    InvalidAudio, InputTooLarge, StorageError, what check_request raises) is raised, and the recording removed unless it
    `is_kept`. A broker that does not answer is no error: the job is in the database, and the sweeper sends its message
    later.
    """
    with ExitStack() as undo:
        if not is_kept:
            undo.callback(discard_input, desk.store, job_id)
        options = check_request(request, desk=desk)
        input_file = probe_stored(stored, store=desk.store, settings=desk.settings, track=options.track)
        job = _queued(job_id, input_file, request, options, desk=desk, owner=owner, reference=reference, now=now)
        desk.jobs.add(job)
        undo.pop_all()
    _send(job, desk=desk, now=now)
    return job


def submit_unfetched(
    input_file: InputFile,
    request: JobRequest,
    *,
    job_id: str,
    owner: str | None = None,
    reference: InputFile | None = None,
    desk: JobDesk,
    now: datetime,
) -> Job:
    """Make a job of a recording elsewhere, at a place that is known to be allowed (`file_at`); returns it as queued.

    Raises InputTooLarge, and as check_request. The worker fetches the recording: what is wrong with it shows then.
    """
    options = check_request(request, desk=desk)
    if input_file.bytes > desk.settings.max_upload_bytes:
        raise InputTooLarge(f"The file has {input_file.bytes} bytes; the limit is {desk.settings.max_upload_bytes}.")
    job = _queued(job_id, input_file, request, options, desk=desk, owner=owner, reference=reference, now=now)
    desk.jobs.add(job)
    _send(job, desk=desk, now=now)
    return job


def file_at(url: str, *, key: str, outbound: OutboundClient) -> InputFile:
    """The file at `url`, which a worker fetches to `key`; ForbiddenUrl when it must not."""
    outbound.check_url(url)
    return InputFile(name=safe_file_name(name_of(url)), key=key, bytes=0, sha256="", media_type=ANY_MEDIA_TYPE, url=url)


def find_job(job_id: str, *, jobs: JobRepository, caller: Caller) -> Job:
    """The job; NotFound when there is none that the caller may see, Gone when it was deleted."""
    job = jobs.get(job_id)
    if not caller.sees(job):
        raise NotFound("There is no such job.")
    if job.deleted_at is not None:
        raise Gone(f"The job was deleted at {job.deleted_at:%Y-%m-%d %H:%M:%S} UTC.")
    return job


def cancel_job(job_id: str, *, jobs: JobRepository, caller: Caller, now: datetime) -> Job:
    """Ask a job to stop: a queued one is cancelled at once, a running one is `cancelling` until its worker confirms.

    NotFound when there is no such job, Gone when it was deleted, Conflict when it has ended.
    """
    find_job(job_id, jobs=jobs, caller=caller)
    job = jobs.request_cancel(job_id, now=now)
    logger.info("job_cancel_requested", extra={"job_id": job.id, "status": job.status})
    return job


def _queued(
    job_id: str,
    input_file: InputFile,
    request: JobRequest,
    options: EnhanceOptions,
    *,
    desk: JobDesk,
    owner: str | None,
    reference: InputFile | None,
    now: datetime,
) -> Job:
    return Job(
        id=job_id,
        status=JobStatus.QUEUED,
        lane=request.lane,
        device=Device(desk.settings.device),
        preset=options.preset,
        preset_version=options.preset_version,
        options=options.model_dump(mode="json"),
        input=input_file,
        reference=reference,
        progress=Progress(duration_s=input_file.duration_s),
        metadata=request.metadata,
        webhook=request.webhook,
        traceparent=current_traceparent(),
        created_at=now,
        owner=owner,
        batch=request.batch,
    )


def check_recording(stored: InputFile, source: BinaryIO, *, settings: Settings, track: int = 1) -> InputFile:
    """`stored` with what its header says of the sound track.

    UnsupportedMedia, InvalidAudio or InputTooLarge when it cannot be used, InvalidOptions without such a track.
    """
    found = probe_isolated(source, name=stored.name, track=track)
    if found.duration_s is not None and found.duration_s > settings.max_duration_s:
        raise InputTooLarge(
            f"The recording lasts {found.duration_s:.1f} s; the limit is {settings.max_duration_s:.1f} s."
        )
    return replace(
        stored,
        media_type=found.media_type,
        duration_s=found.duration_s,
        sample_rate=found.sample_rate,
        channels=found.channels,
    )


def probe_stored(stored: InputFile, *, store: ObjectStore, settings: Settings, track: int = 1) -> InputFile:
    """As `check_recording`, for what the store holds."""
    with store.open_reader(stored.key) as source:
        return check_recording(stored, source, settings=settings, track=track)


def _send(job: Job, *, desk: JobDesk, now: datetime) -> None:
    logger.info("job_submitted", extra={"job_id": job.id, "preset": job.preset, "input_bytes": job.input.bytes})
    try:
        with span(f"send {job_queue_name(job.device, job.lane)}", {"limpid.job_id": job.id}, kind=SpanKind.PRODUCER):
            desk.queue.send_job(job.id, device=job.device, lane=job.lane)
        desk.jobs.mark_sent(job.id, now=now)
    except (QueueError, StorageError) as error:
        logger.warning("job_not_sent", extra={"job_id": job.id, "reason": error.detail})


def discard_input(store: ObjectStore, job_id: str) -> None:
    """Remove what a refused job stored. A store that fails now must not hide why the job was refused."""
    discard_object(store, job_prefix(job_id))


def discard_object(store: ObjectStore, prefix: str) -> None:
    """Remove what has this prefix; a store that fails now is a line in the log."""
    try:
        store.delete_prefix(prefix)
    except StorageError as error:
        logger.warning("input_not_removed", extra={"prefix": prefix, "reason": error.detail})

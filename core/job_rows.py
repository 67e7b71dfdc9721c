"""A job and its row: the one place where core.jobs and core.tables meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import func, literal

from core.jobs import BatchPlace, Device, InputFile, Job, JobStatus, Lane, OutputFile, Problem, Progress, Stage
from core.run_policy import SEND_GRACE_S
from core.tables import JobRow, OutputRow, UtcDateTime
from core.webhooks.events import EventType, Webhook


def row_of(job: Job) -> JobRow:
    """The row of a job that is about to be stored for the first time."""
    return JobRow(
        id=job.id,
        status=job.status.value,
        lane=job.lane.value,
        device=job.device.value,
        preset=job.preset,
        preset_version=job.preset_version,
        options=dict(job.options),
        client_metadata=dict(job.metadata),
        webhook=None if job.webhook is None else webhook_columns(job.webhook),
        traceparent=job.traceparent,
        input_key=job.input.key,
        input_url=job.input.url,
        **input_columns(job.input),
        **reference_columns(job.reference),
        created_at=job.created_at,
        queued_at=job.created_at,
        owner=job.owner,
        batch_id=None if job.batch is None else job.batch.id,
        batch_position=None if job.batch is None else job.batch.position,
        stage=None if job.stage is None else job.stage.value,
        **progress_columns(job.progress),
        warnings=[*job.warnings],
        expires_at=job.expires_at,
        send_due_at=job.created_at + timedelta(seconds=SEND_GRACE_S),
    )


def job_of(row: JobRow) -> Job:
    """The job that a row describes."""
    return Job(
        id=row.id,
        status=JobStatus(row.status),
        lane=Lane(row.lane),
        device=Device(row.device),
        preset=row.preset,
        preset_version=row.preset_version,
        options=row.options,
        input=InputFile(
            name=row.input_name,
            key=row.input_key,
            bytes=row.input_bytes,
            sha256=row.input_sha256,
            media_type=row.input_media_type,
            duration_s=row.input_duration_s,
            sample_rate=row.input_sample_rate,
            channels=row.input_channels,
            url=row.input_url,
        ),
        created_at=row.created_at,
        reference=None if row.reference is None else InputFile(**row.reference),
        owner=row.owner,
        batch=None if row.batch_id is None else BatchPlace(id=row.batch_id, position=row.batch_position or 0),
        stage=None if row.stage is None else Stage(row.stage),
        attempt=row.attempt,
        uncounted_attempts=row.uncounted_attempts,
        progress=Progress(
            fraction=row.progress_fraction,
            processed_s=row.progress_processed_s,
            duration_s=row.progress_duration_s,
            eta_s=row.progress_eta_s,
            rtf=row.progress_rtf,
        ),
        outputs=tuple(_output_of(output) for output in row.outputs),
        report=row.report,
        warnings=tuple(row.warnings),
        error=_error_of(row),
        metadata=row.client_metadata,
        webhook=None if row.webhook is None else webhook_of(row.webhook),
        traceparent=row.traceparent,
        started_at=row.started_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
        purged_at=row.purged_at,
        deleted_at=row.deleted_at,
        lease_token=row.lease_token,
        lease_expires_at=row.lease_expires_at,
    )


def output_rows(job_id: str, outputs: Sequence[OutputFile]) -> list[OutputRow]:
    """The rows of what a job has made, in their order."""
    return [OutputRow(job_id=job_id, position=place, **asdict(output)) for place, output in enumerate(outputs)]


def input_columns(input_file: InputFile) -> dict[str, Any]:
    """What is known of the recording itself; its key and its URL never change."""
    return {
        "input_name": input_file.name,
        "input_bytes": input_file.bytes,
        "input_sha256": input_file.sha256,
        "input_media_type": input_file.media_type,
        "input_duration_s": input_file.duration_s,
        "input_sample_rate": input_file.sample_rate,
        "input_channels": input_file.channels,
    }


def reference_columns(reference: InputFile | None) -> dict[str, Any]:
    """The reference, and its size apart, which outlives it: the limits of API keys count it."""
    if reference is None:
        return {"reference": None, "reference_bytes": 0}
    return {"reference": asdict(reference), "reference_bytes": reference.bytes}


def tombstone_columns(now: datetime) -> dict[str, Any]:
    """What deleting a job at `now` leaves of its row's columns: nothing that the client wrote or that we heard."""
    return {
        "deleted_at": now,
        "expires_at": now,
        "input_name": "",
        "client_metadata": {},
        "report": None,
        "warnings": [],
        "error_detail": None,
        "input_url": None,
        "reference": None,
        "webhook": None,
    }


def claimed_columns(*, worker: str, lease_s: float, now: datetime) -> dict[str, Any]:
    """A new attempt, which starts from nothing, under a fresh lease."""
    return {
        "status": JobStatus.RUNNING.value,
        "stage": None,
        "attempt": JobRow.attempt + 1,
        "progress_fraction": 0.0,
        "progress_processed_s": 0.0,
        "progress_duration_s": JobRow.input_duration_s,
        "progress_eta_s": None,
        "progress_rtf": None,
        "started_at": func.coalesce(JobRow.started_at, literal(now, UtcDateTime())),
        "worker": worker,
        "lease_token": uuid4().hex,
        "lease_expires_at": now + timedelta(seconds=lease_s),
    }


def requeued_columns(send_due_at: datetime) -> dict[str, Any]:
    """A job that waits again, and whose message is sent from `send_due_at` on."""
    return {
        "status": JobStatus.QUEUED.value,
        "stage": None,
        "worker": None,
        "lease_token": None,
        "lease_expires_at": None,
        "queued_at": send_due_at,
        "sends": 0,
        "sent_at": None,
        "send_due_at": send_due_at,
    }


def error_columns(error: Problem) -> dict[str, Any]:
    return {"error_code": error.code, "error_title": error.title, "error_detail": error.detail}


def progress_columns(progress: Progress) -> dict[str, Any]:
    return {
        "progress_fraction": progress.fraction,
        "progress_processed_s": progress.processed_s,
        "progress_duration_s": progress.duration_s,
        "progress_eta_s": progress.eta_s,
        "progress_rtf": progress.rtf,
    }


def webhook_columns(webhook: Webhook) -> dict[str, Any]:
    """A webhook as JSON."""
    return {"url": webhook.url, "events": [event.value for event in webhook.events], "secret": webhook.secret}


def webhook_of(stored: dict[str, Any]) -> Webhook:
    """The webhook that the JSON describes."""
    return Webhook(
        url=stored["url"], events=tuple(EventType(event) for event in stored["events"]), secret=stored["secret"]
    )


def _output_of(row: OutputRow) -> OutputFile:
    return OutputFile(
        name=row.name, role=row.role, key=row.key, media_type=row.media_type, bytes=row.bytes, sha256=row.sha256
    )


def _error_of(row: JobRow) -> Problem | None:
    if row.error_code is None:
        return None
    return Problem(code=row.error_code, title=row.error_title or "", detail=row.error_detail or "")

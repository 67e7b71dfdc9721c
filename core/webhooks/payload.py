"""The body of a webhook: the job as `GET /jobs/{id}` shows it, kept below Standard Webhooks' 20 kB."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from core.jobs import InputFile, Job, JobStatus, OutputFile, Problem
from core.webhooks.events import EventType

MAX_PAYLOAD_BYTES = 20_000

_JOBS = "/api/v1/jobs"

# What a payload that is too large goes without, and what stands there instead; `GET /jobs/{id}` has it all.
_DISPENSABLE: dict[str, Any] = {"report": None, "metadata": {}, "options": {}, "warnings": [], "outputs": []}


def event_of(status: JobStatus) -> EventType:
    """The event of a job that ends as `status`; ValueError for a state that is no end."""
    return EventType(f"job.{status}")


def job_payload(event: EventType, job: Job, *, now: datetime) -> str:
    """The event as JSON: `type`, `timestamp` and `data`, the job.

    Over the limit, `data` loses report, metadata, options, warnings and outputs, in this order and only as far as
    needed; `omitted` names what is missing.
    """
    document = job_document(job)
    omitted: list[str] = []
    text = event_text(event, document, now=now)
    for name, empty in _DISPENSABLE.items():
        if len(text.encode()) <= MAX_PAYLOAD_BYTES:
            break
        document[name] = empty
        omitted.append(name)
        text = event_text(event, document, now=now, omitted=omitted)
    return text


def probe_payload(*, now: datetime) -> str:
    """The body of a test event."""
    return event_text(EventType.WEBHOOK_TEST, {"message": "A receiver that answers 2xx is set up well."}, now=now)


def job_document(job: Job) -> dict[str, Any]:
    """The job as clients see it (DESIGN section 7), ready for JSON; a test compares it with the API's own."""
    href = f"{_JOBS}/{job.id}"
    return {
        "id": job.id,
        "status": job.status,
        "stage": job.stage,
        "attempt": job.attempt,
        "batch_id": None if job.batch is None else job.batch.id,
        "lane": job.lane,
        "preset": job.preset,
        "preset_version": job.preset_version,
        "queue_position": 0,
        "progress": {
            "fraction": job.progress.fraction,
            "processed_s": job.progress.processed_s,
            "duration_s": job.progress.duration_s,
            "eta_s": job.progress.eta_s,
            "rtf": job.progress.rtf,
        },
        "input": _input_document(job.input),
        "reference": None if job.reference is None else _input_document(job.reference),
        "outputs": [_output_document(href, output) for output in job.outputs],
        "report": None if job.report is None else dict(job.report),
        "warnings": [*job.warnings],
        "error": None if job.error is None else problem_document(job.error),
        "metadata": dict(job.metadata),
        "options": dict(job.options),
        "created_at": json_time(job.created_at),
        "started_at": json_time(job.started_at),
        "finished_at": json_time(job.finished_at),
        "expires_at": json_time(job.expires_at),
        "links": {"self": href, "cancel": None, "events": f"{href}/events"},
    }


def _input_document(recording: InputFile) -> dict[str, Any]:
    return {
        "name": recording.name,
        "media_type": recording.media_type,
        "bytes": recording.bytes,
        "sha256": recording.sha256 or None,
        "duration_s": recording.duration_s,
        "sample_rate": recording.sample_rate,
        "channels": recording.channels,
    }


def _output_document(href: str, output: OutputFile) -> dict[str, Any]:
    return {
        "name": output.name,
        "role": output.role,
        "media_type": output.media_type,
        "bytes": output.bytes,
        "sha256": output.sha256,
        "href": f"{href}/outputs/{quote(output.name, safe='')}",
    }


def problem_document(problem: Problem) -> dict[str, Any]:
    """A problem as clients see it."""
    kind = f"urn:limpid:problem:{problem.code}"
    return {"type": kind, "title": problem.title, "code": problem.code, "detail": problem.detail}


def event_text(event: EventType, document: dict[str, Any], *, now: datetime, omitted: Sequence[str] = ()) -> str:
    """The JSON of an event, the bytes that are signed."""
    body: dict[str, Any] = {"type": event, "timestamp": json_time(now), "data": document}
    if omitted:
        body["omitted"] = [*omitted]
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def json_time(moment: datetime | None) -> str | None:
    """A time as the API writes it."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

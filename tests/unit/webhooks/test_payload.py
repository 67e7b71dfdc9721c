"""The body of a webhook."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from api.schemas import JobView
from core.jobs import Job, JobStatus, Problem, Progress, Stage
from core.webhooks.events import EventType
from core.webhooks.payload import MAX_PAYLOAD_BYTES, event_of, job_document, job_payload, probe_payload
from tests.factories import NOON, make_job, make_output


def succeeded_job(**changes: Any) -> Job:  # noqa: ANN401
    values: dict[str, Any] = {
        "status": JobStatus.SUCCEEDED,
        "stage": Stage.FINISH,
        "attempt": 2,
        "progress": Progress(fraction=1.0, processed_s=10.0, duration_s=10.0, eta_s=0.0, rtf=0.125),
        "outputs": (make_output("Gespräch #1.enhanced.wav"),),
        "report": {"rtf": 0.125, "gain_db": -1.5},
        "warnings": ("The input clips.",),
        "started_at": NOON + timedelta(seconds=1, microseconds=5),
        "finished_at": NOON + timedelta(seconds=3),
        "expires_at": NOON + timedelta(days=7),
    }
    return make_job(**values | changes)


@pytest.mark.parametrize(
    "job",
    [
        succeeded_job(),
        make_job(status=JobStatus.CANCELLED, finished_at=NOON),
        make_job(
            status=JobStatus.FAILED,
            error=Problem(code="invalid_audio", title="The audio cannot be used", detail="It holds no samples."),
        ),
    ],
    ids=lambda job: str(job.status),
)
def test_job_is_the_same_as_in_the_api(job: Job) -> None:
    view = JobView.of(job, queue_position=0)

    assert job_document(job) == view.model_dump(mode="json", by_alias=True)


def test_event_says_type_time_and_job() -> None:
    job = succeeded_job()

    event = json.loads(job_payload(EventType.JOB_SUCCEEDED, job, now=NOON))

    assert list(event) == ["type", "timestamp", "data"]
    assert (event["type"], event["timestamp"]) == ("job.succeeded", NOON.isoformat().replace("+00:00", "Z"))
    assert event["data"] == job_document(job)


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (JobStatus.SUCCEEDED, EventType.JOB_SUCCEEDED),
        (JobStatus.FAILED, EventType.JOB_FAILED),
        (JobStatus.CANCELLED, EventType.JOB_CANCELLED),
    ],
)
def test_every_end_of_a_job_has_its_event(status: JobStatus, event: EventType) -> None:
    assert event_of(status) is event


def test_state_that_is_no_end_has_no_event() -> None:
    with pytest.raises(ValueError, match=r"job\.running"):
        event_of(JobStatus.RUNNING)


def test_report_is_left_out_first_when_the_event_is_too_large() -> None:
    job = succeeded_job(report={"curve": [0.123456789] * 5000})

    text = job_payload(EventType.JOB_SUCCEEDED, job, now=NOON)

    event = json.loads(text)
    assert len(text.encode()) <= MAX_PAYLOAD_BYTES
    assert event["omitted"] == ["report"]
    assert event["data"] == {**job_document(job), "report": None}


def test_event_stays_below_the_limit_whatever_the_job_holds() -> None:
    huge = "ü" * 30_000
    job = succeeded_job(
        report={"text": huge},
        metadata={"text": huge},
        options={"text": huge},
        warnings=(huge,),
        outputs=tuple(make_output(f"{number}.wav") for number in range(500)),
    )

    text = job_payload(EventType.JOB_SUCCEEDED, job, now=NOON)

    assert len(text.encode()) <= MAX_PAYLOAD_BYTES
    assert json.loads(text)["omitted"] == ["report", "metadata", "options", "warnings", "outputs"]
    assert json.loads(text)["data"]["status"] == "succeeded"


def test_test_event_is_no_job() -> None:
    event = json.loads(probe_payload(now=NOON))

    assert (event["type"], list(event["data"])) == ("webhook.test", ["message"])

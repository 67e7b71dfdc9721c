"""Jobs in the states that a worker brings them to, for tests that need no worker."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from core.ids import new_id
from core.jobs import Device, InputFile, Job, JobStatus, Lane, OutputFile, Problem, Progress, Stage
from core.options import resolve_options
from tests.fakes import FakeJobRepository, FakeObjectStore

OPTIONS = resolve_options("clean-only").model_dump(mode="json")
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
FAR_FUTURE = START + timedelta(days=36_500)


def add_queued(jobs: FakeJobRepository, *, lane: Lane = Lane.INTERACTIVE) -> Job:
    """A job that waits."""
    job_id = new_id()
    job = Job(
        id=job_id,
        status=JobStatus.QUEUED,
        lane=lane,
        device=Device.CPU,
        preset="clean-only",
        preset_version=1,
        options=OPTIONS,
        input=InputFile(
            name="talk.wav",
            key=f"jobs/{job_id}/input",
            bytes=32_044,
            sha256="0" * 64,
            media_type="audio/wav",
            duration_s=1.0,
            sample_rate=16_000,
            channels=1,
        ),
        created_at=START,
    )
    jobs.add(job)
    return job


def start(jobs: FakeJobRepository, job_id: str) -> Job:
    """A worker takes the job."""
    job = jobs.claim(job_id, worker="w", lease_s=60, now=START + timedelta(seconds=1))
    assert job is not None
    return job


def advance(jobs: FakeJobRepository, job: Job, *, fraction: float) -> None:
    """Its worker reports progress."""
    assert job.lease_token is not None
    progress = Progress(fraction=fraction, processed_s=fraction, duration_s=1.0, eta_s=1 - fraction, rtf=0.5)
    jobs.report_progress(job.id, lease_token=job.lease_token, stage=Stage.ENHANCE, progress=progress)


def finish(
    jobs: FakeJobRepository,
    store: FakeObjectStore,
    job: Job,
    files: dict[str, bytes],
    *,
    expires_at: datetime = FAR_FUTURE,
) -> None:
    """Its worker succeeds with `files`, three seconds after the start."""
    assert job.lease_token is not None
    outputs = []
    for name, data in files.items():
        key = f"jobs/{job.id}/{job.attempt}/{name}"
        store.put(key, data)
        outputs.append(
            OutputFile(
                name=name,
                role="enhanced",
                key=key,
                media_type="audio/wav",
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
    jobs.succeed(
        job.id,
        lease_token=job.lease_token,
        outputs=outputs,
        report={"rtf": 0.5},
        warnings=[],
        progress=Progress(fraction=1.0, processed_s=6.0, duration_s=6.0, eta_s=0.0, rtf=0.5),
        now=START + timedelta(seconds=4),
        expires_at=expires_at,
    )


def fail(jobs: FakeJobRepository, job: Job, *, code: str) -> None:
    """Its worker gives up."""
    assert job.lease_token is not None
    error = Problem(code=code, title="The audio cannot be used", detail="Sample 12 is not a number.")
    jobs.fail(job.id, lease_token=job.lease_token, error=error, now=START + timedelta(seconds=4))


def add_succeeded(
    jobs: FakeJobRepository, store: FakeObjectStore, files: dict[str, bytes], *, expires_at: datetime = FAR_FUTURE
) -> Job:
    """A job that has made `files`."""
    job = start(jobs, add_queued(jobs).id)
    finish(jobs, store, job, files, expires_at=expires_at)
    return jobs.get(job.id)

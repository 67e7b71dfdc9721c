"""Domain objects for tests, complete and valid unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from core.ids import new_id
from core.jobs import Device, InputFile, Job, JobStatus, Lane, OutputFile

NOON = datetime(2026, 1, 15, 12, 0, 0, tzinfo=UTC)


def make_job(**changes: Any) -> Job:  # noqa: ANN401 - any field of Job
    """A queued job of preset clean-only, submitted at NOON, with `changes`."""
    job_id = new_id()
    job = Job(
        id=job_id,
        status=JobStatus.QUEUED,
        lane=Lane.INTERACTIVE,
        device=Device.CPU,
        preset="clean-only",
        preset_version=1,
        options={
            "preset": "clean-only",
            "preset_version": 1,
            "model": None,
            "shifts": 0,
            "overlap": 0.25,
            "outputs": [{"format": "wav", "subtype": "PCM_16"}],
        },
        input=InputFile(
            name="talk.wav",
            key=f"jobs/{job_id}/input",
            bytes=320_044,
            sha256="0" * 64,
            media_type="audio/wav",
            duration_s=10.0,
            sample_rate=16_000,
            channels=1,
        ),
        created_at=NOON,
        metadata={"episode": 7},
    )
    return replace(job, **changes)


def make_output(name: str = "talk.enhanced.wav", **changes: Any) -> OutputFile:  # noqa: ANN401
    """An enhanced WAV file, with `changes`."""
    output = OutputFile(
        name=name, role="enhanced", key="jobs/x/1/00", media_type="audio/wav", bytes=320_044, sha256="1" * 64
    )
    return replace(output, **changes)

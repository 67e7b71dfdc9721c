"""What clients see: the response models, and how the domain's objects become them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from api.errors import problem_type
from core.estimation.estimate import Estimate, EstimateSource
from core.jobs import InputFile, Job, JobStatus, Lane, OutputFile, Problem, Progress, Stage
from core.model_catalogue import ListedModel
from core.options import EnhanceOptions
from core.presets import Preset

API_PREFIX = "/api/v1"

_EXAMPLE_ID = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_EXAMPLE_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
JOB_EXAMPLE: dict[str, Any] = {
    "id": _EXAMPLE_ID,
    "status": "running",
    "stage": "enhance",
    "attempt": 1,
    "batch_id": None,
    "lane": "interactive",
    "preset": "speech",
    "preset_version": 3,
    "queue_position": 0,
    "progress": {"fraction": 0.42, "processed_s": 75.6, "duration_s": 180.0, "eta_s": 9.1, "rtf": 0.087},
    "input": {
        "name": "talk.ogg",
        "media_type": "audio/ogg",
        "bytes": 912331,
        "sha256": _EXAMPLE_SHA256,
        "duration_s": 180.0,
        "sample_rate": 48000,
        "channels": 1,
    },
    "reference": None,
    "outputs": [],
    "report": None,
    "warnings": [],
    "error": None,
    "metadata": {"episode": 12},
    "options": {"preset": "speech", "preset_version": 3, "model": "limpid-speech", "strength": 1.0},
    "created_at": "2026-11-20T10:00:00Z",
    "started_at": "2026-11-20T10:00:01Z",
    "finished_at": None,
    "expires_at": None,
    "links": {
        "self": f"{API_PREFIX}/jobs/{_EXAMPLE_ID}",
        "cancel": f"{API_PREFIX}/jobs/{_EXAMPLE_ID}/cancel",
        "events": f"{API_PREFIX}/jobs/{_EXAMPLE_ID}/events",
    },
}


def job_href(job_id: str) -> str:
    """The path of a job."""
    return f"{API_PREFIX}/jobs/{job_id}"


def output_href(job_id: str, name: str) -> str:
    """The path of one of a job's files."""
    return f"{job_href(job_id)}/outputs/{quote(name, safe='')}"


class _View(BaseModel):
    """Built from the domain object of the same fields."""

    model_config = ConfigDict(from_attributes=True)


class ProgressView(_View):
    """How far the job is; never decreases within one attempt."""

    fraction: float = Field(description="0..1 of the whole job")
    processed_s: float = Field(description="Seconds of audio that are done")
    duration_s: float | None = Field(description="Seconds of audio in all")
    eta_s: float | None = Field(
        description="Seconds left: of a running job by its speed so far; of a queued one by jobs like it, what waits "
        "before it and the workers there are, null in lists and where nobody can know"
    )
    rtf: float | None = Field(description="Processing seconds per second of audio")

    @classmethod
    def of(cls, progress: Progress) -> Self:
        return cls.model_validate(progress)


class InputView(_View):
    """The recording that was submitted."""

    name: str
    media_type: str
    bytes: int = Field(description="0 until it has been fetched from its URL")
    sha256: str | None = Field(description="null until it has been fetched from its URL")
    duration_s: float | None
    sample_rate: int | None = Field(description="Hz")
    channels: int | None

    @classmethod
    def of(cls, input_file: InputFile) -> Self:
        view = cls.model_validate(input_file)
        return view if input_file.is_stored else view.model_copy(update={"sha256": None})


class OutputView(BaseModel):
    """A file that the job made."""

    name: str
    role: str = Field(description="`enhanced`, `residual`, or the name of a stem")
    media_type: str
    bytes: int
    sha256: str
    href: str

    @classmethod
    def of(cls, job_id: str, output: OutputFile) -> Self:
        return cls(
            name=output.name,
            role=output.role,
            media_type=output.media_type,
            bytes=output.bytes,
            sha256=output.sha256,
            href=output_href(job_id, output.name),
        )


class JobProblemView(BaseModel):
    """Why the job failed (RFC 9457)."""

    type: str
    title: str
    code: str
    detail: str

    @classmethod
    def of(cls, problem: Problem) -> Self:
        return cls(type=problem_type(problem.code), title=problem.title, code=problem.code, detail=problem.detail)


class JobLinks(BaseModel):
    """Where to go from here; null where the job's state does not allow it."""

    self_: str = Field(alias="self")
    cancel: str | None = None
    events: str


class JobView(BaseModel):
    """A job."""

    model_config = ConfigDict(json_schema_extra={"example": JOB_EXAMPLE})

    id: str
    status: JobStatus
    stage: Stage | None
    attempt: int = Field(description="How many times a worker has taken the job")
    batch_id: str | None = Field(description="The batch that it belongs to")
    lane: Lane
    preset: str
    preset_version: int
    queue_position: int | None = Field(description="Jobs ahead of it; 0 when it is next or not queued, null in lists")
    progress: ProgressView
    input: InputView
    reference: InputView | None = Field(description="The clean version that the report compares with")
    outputs: list[OutputView]
    report: dict[str, Any] | None
    warnings: list[str]
    error: JobProblemView | None
    metadata: dict[str, Any]
    options: dict[str, Any] = Field(description="Fully resolved")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    links: JobLinks

    @classmethod
    def of(cls, job: Job, *, queue_position: int | None) -> Self:
        return cls(
            id=job.id,
            status=job.status,
            stage=job.stage,
            attempt=job.attempt,
            batch_id=None if job.batch is None else job.batch.id,
            lane=job.lane,
            preset=job.preset,
            preset_version=job.preset_version,
            queue_position=queue_position,
            progress=ProgressView.of(job.progress),
            input=InputView.of(job.input),
            reference=None if job.reference is None else InputView.of(job.reference),
            outputs=[OutputView.of(job.id, output) for output in job.outputs],
            report=None if job.report is None else dict(job.report),
            warnings=list(job.warnings),
            error=None if job.error is None else JobProblemView.of(job.error),
            metadata=dict(job.metadata),
            options=dict(job.options),
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
            links=JobLinks(
                self=job_href(job.id),
                cancel=None if job.status.is_terminal else f"{job_href(job.id)}/cancel",
                events=f"{job_href(job.id)}/events",
            ),
        )


class JobListView(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobView]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end")


class PresetView(BaseModel):
    """A preset, and what it resolves to without overrides."""

    name: str
    version: int
    title: str
    description: str
    model: str | None = Field(description="null: signal processing alone")
    is_installed: bool = Field(description="Whether the model is installed, as in `GET /models`")
    is_default: bool
    shifts: int
    overlap: float = Field(description="0..0.75 of a segment")
    relative_cost: float = Field(description="Passes of the model's network over the recording; 0: none runs")
    rtf: float = Field(description="Processing seconds per second of audio on this server's device, as far as is known")
    rtf_source: EstimateSource = Field(description="What `rtf` rests on, as in `POST /estimate`")
    chain: list[dict[str, Any]] = Field(description="DSP steps after the model, in order, with all their parameters")
    outputs: list[dict[str, Any]]

    @classmethod
    def of(
        cls, preset: Preset, options: EnhanceOptions, *, speed: Estimate, is_installed: bool, is_default: bool
    ) -> Self:
        return cls(
            name=preset.name,
            version=preset.version,
            title=preset.title,
            description=preset.description,
            model=options.model,
            is_installed=is_installed,
            is_default=is_default,
            shifts=options.shifts,
            overlap=options.overlap,
            relative_cost=speed.relative_cost,
            rtf=speed.rtf,
            rtf_source=speed.source,
            chain=[dict(step) for step in options.chain],
            outputs=[output.model_dump(mode="json") for output in options.outputs],
        )


class PresetListView(BaseModel):
    """Every preset."""

    presets: list[PresetView]


class ModelView(_View):
    """A model."""

    name: str
    title: str
    architecture: str
    origin: str = Field(description="`bundled`, or `pulled` or `trained` by the operator")
    sample_rate: int = Field(description="Hz")
    channels: int = Field(description="That the engine takes at once")
    stems: Sequence[str]
    parameters: int | None
    licence: str
    is_non_commercial: bool
    notice: str
    source: str
    training_data: str = Field(description="What the weights were trained on; empty where nobody says")
    cpu_rtf: float | None = Field(description="Processing seconds per second of audio on one core; null: not known")
    how_to_get: str = Field(description="What the operator does to have it")
    guarded_by: str | None = Field(
        description="Of a generative model: the model that is heard where it departs from what was said"
    )
    figures: Mapping[str, float] = Field(description="What the training run of the weights that are here measured")
    is_installed: bool = Field(
        description="Whether every live worker has it; while there is none, whether the API's own machine does. "
        "A job for a model that is not installed is refused."
    )

    @classmethod
    def of(cls, listed: ListedModel) -> Self:
        record = listed.record
        return cls(
            **{name: getattr(record, name) for name in cls.model_fields if name not in ("is_installed", "figures")},
            figures=listed.figures,
            is_installed=listed.is_installed,
        )


class ModelListView(BaseModel):
    """Every model that Limpid knows."""

    models: list[ModelView]


class HealthView(BaseModel):
    """The process answers."""

    status: str = "ok"
    version: str


class ReadinessView(BaseModel):
    """Each part that the server needs: `ok`, or what is the matter."""

    status: str = Field(examples=["ready", "unavailable"])
    checks: dict[str, str] = Field(examples=[{"database": "ok", "store": "ok", "broker": "ok", "workers": "stalled"}])


class SystemView(HealthView):
    """What `/api/health` tells, for clients of the simple interface."""

    default_preset: str
    models: list[str] = Field(description="Those that are installed")

"""What a job is: its states, what may follow what, its progress and its files. Pure; no database, no queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from core.webhooks.events import Webhook


class JobStatus(StrEnum):
    """The states of a job, the same in the database, in JSON and in the UI."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker holds the lease
    CANCELLING = "cancelling"  # asked to stop; the worker has not confirmed yet
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True when the job will never change state again."""
        return not ALLOWED_TRANSITIONS[self]


ALLOWED_TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.RUNNING: frozenset({JobStatus.QUEUED, JobStatus.CANCELLING, JobStatus.SUCCEEDED, JobStatus.FAILED}),
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


class Stage(StrEnum):
    """The three steps of the pipeline (docs/adr/0002)."""

    PREPARE = "prepare"
    ENHANCE = "enhance"
    FINISH = "finish"


class Lane(StrEnum):
    """Which of a device's two queues a job waits in."""

    INTERACTIVE = "interactive"  # a person waits
    BULK = "bulk"  # an archive, a batch


class Device(StrEnum):
    """The kind of worker that a job needs."""

    CPU = "cpu"
    GPU = "gpu"


class ReportRole(StrEnum):
    """Roles of the outputs that are no results: they show the results and the recording to eyes and players."""

    WAVEFORM = "waveform"  # PNG
    SPECTROGRAM = "spectrogram"  # PNG
    PEAKS = "peaks"  # JSON in audiowaveform's form, for players
    LISTENING = "listening"  # WAV, of what is not there as WAV


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is. Never decreases within one attempt."""

    fraction: float = 0.0  # 0..1 of the whole job
    processed_s: float = 0.0  # audio seconds that the enhance stage has finished
    duration_s: float | None = None  # audio seconds in all, known after the probe
    eta_s: float | None = None  # seconds left, by the speed so far
    rtf: float | None = None  # processing seconds / audio seconds


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """The recording that was submitted, or its clean reference; or what a worker is to fetch of either from `url`."""

    name: str  # as the user named it, made safe to show and to put into a header
    key: str  # where the ObjectStore keeps it
    bytes: int  # 0 until it has been fetched
    sha256: str  # empty until it has been fetched
    media_type: str
    duration_s: float | None = None  # None when the container does not say
    sample_rate: int | None = None
    channels: int | None = None
    url: str | None = None  # None when the client sent the recording itself

    @property
    def is_stored(self) -> bool:
        """True when the ObjectStore has it."""
        return self.sha256 != ""


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """One file that a job made."""

    name: str
    role: str  # "enhanced", "residual", the name of a stem, or a ReportRole
    key: str
    media_type: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a job failed, in the words of RFC 9457."""

    code: str
    title: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class BatchPlace:
    """Which batch a job belongs to (core.batches), and which of its items it is."""

    id: str
    position: int  # from 0


@dataclass(frozen=True, kw_only=True)
class Job:
    """One recording on its way through the pipeline; a snapshot of its row."""

    id: str
    status: JobStatus
    lane: Lane
    device: Device
    preset: str
    preset_version: int
    options: Mapping[str, Any]  # core.presets.EnhanceOptions as JSON, fully resolved
    input: InputFile
    created_at: datetime
    reference: InputFile | None = None  # the clean recording that the report compares with
    owner: str | None = None  # id of the API key that submitted it; None: submitted without authentication
    batch: BatchPlace | None = None  # None: submitted by itself
    stage: Stage | None = None
    attempt: int = 0  # how many times a worker has claimed it
    uncounted_attempts: int = 0  # of these, ended by a worker's shutdown: not the job's fault
    progress: Progress = field(default_factory=Progress)
    outputs: tuple[OutputFile, ...] = ()
    report: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    error: Problem | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # the client's own, returned untouched
    webhook: Webhook | None = None
    traceparent: str | None = None  # W3C: the request that submitted it; None: it was not traced
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None  # set at the end: its files are kept until then
    purged_at: datetime | None = None  # its files are removed
    deleted_at: datetime | None = None  # by the client; what is left is a tombstone
    lease_token: str | None = None  # fences every write of the run that holds it
    lease_expires_at: datetime | None = None

"""What clients see of batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import API_PREFIX, JobProblemView, job_href, output_href
from core.batches.batch import Batch, BatchItem, BatchStatus, count, progress_of, status_of
from core.batches.services import BatchFile
from core.jobs import JobStatus

_EXAMPLE_ID = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_EXAMPLE_JOB_ID = "0199a1b2-7c3e-7a01-9c11-0d2e4f6a8b0c"
BATCH_EXAMPLE: dict[str, Any] = {
    "id": _EXAMPLE_ID,
    "status": "running",
    "progress": {"fraction": 0.71, "ended": 1, "total": 2},
    "counts": {"queued": 0, "running": 1, "cancelling": 0, "succeeded": 0, "failed": 1, "cancelled": 0},
    "items": [
        {
            "position": 0,
            "name": "talk.ogg",
            "status": "running",
            "fraction": 0.42,
            "job_id": _EXAMPLE_JOB_ID,
            "href": f"{API_PREFIX}/jobs/{_EXAMPLE_JOB_ID}",
            "is_deleted": False,
            "error": None,
        },
        {
            "position": 1,
            "name": "notes.txt",
            "status": "failed",
            "fraction": 0.0,
            "job_id": None,
            "href": None,
            "is_deleted": False,
            "error": {
                "type": "urn:limpid:problem:unsupported_media",
                "title": "This is not audio that Limpid can read",
                "code": "unsupported_media",
                "detail": "notes.txt is text.",
            },
        },
    ],
    "created_at": "2026-11-20T10:00:00Z",
    "links": {
        "self": f"{API_PREFIX}/batches/{_EXAMPLE_ID}",
        "jobs": f"{API_PREFIX}/jobs?batch={_EXAMPLE_ID}",
        "cancel": f"{API_PREFIX}/batches/{_EXAMPLE_ID}/cancel",
        "manifest": f"{API_PREFIX}/batches/{_EXAMPLE_ID}/manifest",
        "archive": None,
    },
}


def batch_href(batch_id: str) -> str:
    """The path of a batch."""
    return f"{API_PREFIX}/batches/{batch_id}"


class BatchProgressView(BaseModel):
    """How far the batch is; what has ended counts as whole, however it ended."""

    model_config = ConfigDict(from_attributes=True)

    fraction: float = Field(description="0..1 of the audio where every duration is known, else of the items")
    ended: int = Field(description="Items that have ended")
    total: int = Field(description="Items")


class BatchItemView(BaseModel):
    """One recording of the batch."""

    position: int = Field(description="From 0, in the order of the request")
    name: str = Field(description="Of the recording; empty once its job is deleted")
    status: JobStatus
    fraction: float = Field(description="0..1")
    job_id: str | None = Field(description="null: no job was made of it, or not yet")
    href: str | None = Field(description="The job")
    is_deleted: bool
    error: JobProblemView | None = Field(description="Why it failed, or was refused")

    @classmethod
    def of(cls, item: BatchItem) -> Self:
        return cls(
            position=item.position,
            name=item.name,
            status=item.status,
            fraction=item.fraction,
            job_id=item.job_id,
            href=None if item.job_id is None else job_href(item.job_id),
            is_deleted=item.deleted_at is not None,
            error=None if item.problem is None else JobProblemView.of(item.problem),
        )


class BatchLinks(BaseModel):
    """Where to go from here; null where the batch's state does not allow it."""

    self_: str = Field(alias="self")
    jobs: str
    manifest: str
    cancel: str | None = None
    archive: str | None = None


class BatchView(BaseModel):
    """A batch."""

    model_config = ConfigDict(json_schema_extra={"example": BATCH_EXAMPLE})

    id: str
    status: BatchStatus = Field(
        description="`partially_succeeded`: some items have, the others failed or were cancelled"
    )
    progress: BatchProgressView
    counts: dict[JobStatus, int] = Field(description="Items in each state")
    items: list[BatchItemView]
    created_at: datetime
    links: BatchLinks

    @classmethod
    def of(cls, batch: Batch, *, now: datetime) -> Self:
        items = batch.items(now=now)
        status = status_of(items)
        href = batch_href(batch.id)
        return cls(
            id=batch.id,
            status=status,
            progress=BatchProgressView.model_validate(progress_of(items)),
            counts=dict(count(items)),
            items=[BatchItemView.of(item) for item in items],
            created_at=batch.created_at,
            links=BatchLinks(
                self=href,
                jobs=f"{API_PREFIX}/jobs?batch={batch.id}",
                manifest=f"{href}/manifest",
                cancel=None if status.is_terminal else f"{href}/cancel",
                archive=f"{href}/archive.zip" if status.is_terminal else None,
            ),
        )


class ManifestInputView(BaseModel):
    """A recording as it was submitted."""

    name: str
    bytes: int
    sha256: str = Field(description="Empty when it never arrived")


class ManifestFileView(BaseModel):
    """A file that the batch has made."""

    path: str = Field(description="In the archive; no other file has it")
    name: str = Field(description="Among the job's outputs")
    role: str
    media_type: str
    bytes: int
    sha256: str
    href: str

    @classmethod
    def of(cls, file: BatchFile) -> Self:
        output = file.output
        return cls(
            path=file.path,
            name=output.name,
            role=output.role,
            media_type=output.media_type,
            bytes=output.bytes,
            sha256=output.sha256,
            href=output_href(file.item.job_id or "", output.name),
        )


class ManifestItemView(BaseModel):
    """One recording of the batch, and what was made of it."""

    position: int
    status: JobStatus
    job_id: str | None
    input: ManifestInputView
    files: list[ManifestFileView]
    error: JobProblemView | None


class ManifestView(BaseModel):
    """What came in and what came out, to check both by."""

    batch_id: str
    status: BatchStatus
    created_at: datetime
    items: list[ManifestItemView]

    @classmethod
    def of(cls, batch: Batch, items: Sequence[BatchItem], files: Sequence[BatchFile]) -> Self:
        made: dict[int, list[ManifestFileView]] = defaultdict(list)
        for file in files:
            made[file.item.position].append(ManifestFileView.of(file))
        return cls(
            batch_id=batch.id,
            status=status_of(items),
            created_at=batch.created_at,
            items=[
                ManifestItemView(
                    position=item.position,
                    status=item.status,
                    job_id=item.job_id,
                    input=ManifestInputView(name=item.name, bytes=item.input_bytes, sha256=item.input_sha256),
                    files=made[item.position],
                    error=None if item.problem is None else JobProblemView.of(item.problem),
                )
                for item in items
            ],
        )

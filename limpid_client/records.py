"""Jobs and batches as the server told them. `document` is always all of what it said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from limpid_client.errors import ApiError


@dataclass(frozen=True, kw_only=True)
class RemoteOutput:
    """A file that a job made, on the server."""

    name: str
    role: str
    bytes: int
    sha256: str
    href: str


@dataclass(frozen=True, kw_only=True)
class RemoteJob:
    """A job as the server told it. `document` is all of it."""

    id: str
    status: str
    stage: str | None
    fraction: float
    eta_s: float | None
    rtf: float | None
    queue_position: int | None
    outputs: tuple[RemoteOutput, ...]
    error_detail: str | None
    document: Mapping[str, Any]
    etag: str | None = None

    @property
    def has_ended(self) -> bool:
        """True when the job will never change again."""
        return self.status in ("succeeded", "failed", "cancelled")

    @property
    def has_succeeded(self) -> bool:
        return self.status == "succeeded"

    @classmethod
    def from_response(cls, response: httpx.Response) -> RemoteJob:
        """Read a job's JSON; ApiError when the answer is none."""
        try:
            return cls.from_document(response.json(), etag=response.headers.get("etag"))
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError(f"{response.url.host} answered, but not with a job. Is it a Limpid server?") from error

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, etag: str | None = None) -> RemoteJob:
        """The job that the JSON describes; KeyError or TypeError when it is none."""
        progress = document["progress"]
        error = document["error"]
        return cls(
            id=document["id"],
            status=document["status"],
            stage=document["stage"],
            fraction=progress["fraction"],
            eta_s=progress["eta_s"],
            rtf=progress["rtf"],
            queue_position=document["queue_position"],
            outputs=tuple(
                RemoteOutput(**{name: output[name] for name in RemoteOutput.__dataclass_fields__})
                for output in document["outputs"]
            ),
            error_detail=None if error is None else error["detail"],
            document=document,
            etag=etag,
        )


@dataclass(frozen=True, kw_only=True)
class RemotePage:
    """Some jobs, and the cursor that continues after them (None at the end)."""

    jobs: tuple[RemoteJob, ...]
    next_cursor: str | None

    @classmethod
    def from_response(cls, response: httpx.Response) -> RemotePage:
        """Read a page's JSON; ApiError when the answer is none."""
        try:
            document = response.json()
            jobs = tuple(RemoteJob.from_document(job) for job in document["jobs"])
            return cls(jobs=jobs, next_cursor=document["next_cursor"])
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError(f"{response.url.host} answered, but not with jobs. Is it a Limpid server?") from error


@dataclass(frozen=True, kw_only=True)
class RemoteBatchItem:
    """One recording of a batch, on the server."""

    position: int
    name: str
    status: str
    job_id: str | None  # None: it was refused, or is no job yet
    error_detail: str | None


@dataclass(frozen=True, kw_only=True)
class RemoteBatch:
    """A batch as the server told it. `document` is all of it."""

    id: str
    status: str
    fraction: float
    items: tuple[RemoteBatchItem, ...]
    document: Mapping[str, Any]

    @property
    def has_ended(self) -> bool:
        """True when the batch will never change again."""
        return self.status != "running"

    @property
    def has_succeeded(self) -> bool:
        """True when every item has; a status of `partially_succeeded` is something else."""
        return self.status == "succeeded"

    @classmethod
    def from_response(cls, response: httpx.Response) -> RemoteBatch:
        """Read a batch's JSON; ApiError when the answer is none."""
        try:
            document = response.json()
            return cls(
                id=document["id"],
                status=document["status"],
                fraction=document["progress"]["fraction"],
                items=tuple(
                    RemoteBatchItem(
                        position=item["position"],
                        name=item["name"],
                        status=item["status"],
                        job_id=item["job_id"],
                        error_detail=None if item["error"] is None else item["error"]["detail"],
                    )
                    for item in document["items"]
                ),
                document=document,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError(f"{response.url.host} answered, but not with a batch. Is it a Limpid server?") from error

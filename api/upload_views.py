"""What clients send and see of uploads in parts."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import API_PREFIX
from core.uploads.upload import PartStore, Upload, UploadStatus

MAX_URL_LIFETIME_S = 7 * 86_400  # SigV4's limit


def upload_href(upload_id: str) -> str:
    """The path of an upload."""
    return f"{API_PREFIX}/uploads/{upload_id}"


class UploadRequest(BaseModel):
    """What is to be uploaded."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "concert.wav", "bytes": 1073741824}}
    )

    name: str = Field(max_length=1000, description="The file's name, for people")
    bytes: int = Field(gt=0, description="Exactly")
    media_type: str = Field(default="application/octet-stream", pattern=r"^[\w.+-]{1,60}/[\w.+-]{1,60}$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="Checked at the end, if given")


class PartView(BaseModel):
    """One slice of the file."""

    number: int
    offset_bytes: int
    bytes: int
    is_received: bool
    url: str | None = Field(
        description="Where to PUT it: absolute, and then without an API key, or a path on this server, and then with "
        "one. null once the upload is complete."
    )


class UploadLinks(BaseModel):
    """Where to go from here."""

    self_: str = Field(alias="self")
    complete: str


class UploadView(BaseModel):
    """An upload in parts."""

    id: str = Field(description="Also of the job that will be made of it")
    status: UploadStatus
    name: str
    bytes: int
    media_type: str
    sha256: str | None
    parts: list[PartView]
    created_at: datetime
    expires_at: datetime
    links: UploadLinks

    @classmethod
    def of(cls, upload: Upload, *, parts: PartStore, now: datetime) -> Self:
        is_open = upload.status is UploadStatus.OPEN
        left_s = int((upload.expires_at - now).total_seconds())
        received = parts.sizes(upload.key, upload.reference, count=len(upload.parts)) if is_open else {}
        href = upload_href(upload.id)

        def url_of(number: int) -> str:
            expires_s = max(1, min(left_s, MAX_URL_LIFETIME_S))
            own = parts.part_url(upload.key, upload.reference, number, expires_s=expires_s)
            return own or f"{href}/parts/{number}"

        return cls(
            id=upload.id,
            status=upload.status,
            name=upload.name,
            bytes=upload.bytes,
            media_type=upload.media_type,
            sha256=upload.sha256,
            parts=[
                PartView(
                    number=part.number,
                    offset_bytes=part.offset_bytes,
                    bytes=part.bytes,
                    is_received=not is_open or received.get(part.number) == part.bytes,
                    url=url_of(part.number) if is_open else None,
                )
                for part in upload.parts
            ],
            created_at=upload.created_at,
            expires_at=upload.expires_at,
            links=UploadLinks(self=href, complete=f"{href}/complete"),
        )

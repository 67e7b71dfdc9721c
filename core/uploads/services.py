"""Use cases: begin, complete, abort and expire an upload, and make a job of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.access.keys import Caller
from core.errors import Conflict, InputTooLarge, InvalidInput, NotFound, TransientError
from core.file_names import safe_file_name
from core.ids import new_id
from core.jobs import InputFile
from core.object_keys import job_prefix
from core.repository import JobRepository, has_job
from core.storage import ObjectStore
from core.uploads.upload import PartStore, Upload, UploadRepository, UploadStatus

logger = logging.getLogger(__name__)

HASH_BLOCK_BYTES = 8 * 1024**2


@dataclass(frozen=True, kw_only=True)
class UploadDesk:
    """What the use cases work with."""

    uploads: UploadRepository
    parts: PartStore
    store: ObjectStore


def begin_upload(
    desk: UploadDesk,
    *,
    name: str,
    media_type: str,
    size_bytes: int,
    sha256: str | None,
    max_bytes: int,
    lifetime_s: float,
    caller: Caller,
    now: datetime,
) -> Upload:
    """A new upload, open for `lifetime_s`; InputTooLarge when more bytes are announced than a recording may have."""
    if size_bytes > max_bytes:
        raise InputTooLarge(f"The file has {size_bytes} bytes; the limit is {max_bytes}.")
    upload = Upload(
        id=new_id(),
        owner=caller.owner,
        name=safe_file_name(name),
        media_type=media_type,
        bytes=size_bytes,
        sha256=sha256,
        reference="",
        created_at=now,
        expires_at=now + timedelta(seconds=lifetime_s),
    )
    reference = desk.parts.begin(upload.key, media_type=media_type)
    upload = replace(upload, reference=reference)
    desk.uploads.add(upload)
    logger.info("upload_begun", extra={"upload_id": upload.id, "bytes": size_bytes})
    return upload


def find_upload(upload_id: str, *, desk: UploadDesk, caller: Caller) -> Upload:
    """The caller's upload; NotFound when it is another's, ended or unknown."""
    upload = desk.uploads.get(upload_id)
    if not caller.sees(upload) or upload.status is UploadStatus.ENDED:
        raise NotFound("There is no such upload.")
    return upload


def complete_upload(upload: Upload, *, desk: UploadDesk) -> Upload:
    """Join the parts and hash the whole; the same again changes nothing.

    Conflict while parts are missing. InvalidInput, which ends the upload, when sizes or hash are not as announced.
    """
    if upload.status is not UploadStatus.OPEN:
        return upload
    if not _is_joined(upload, desk.store):
        _check_sizes(upload, desk)
        desk.parts.join(upload.key, upload.reference, count=len(upload.parts))
    size_bytes, sha256 = _measure(upload, desk.store)
    if size_bytes != upload.bytes or sha256 != (upload.sha256 or sha256):
        abort_upload(upload, desk=desk)
        raise InvalidInput(
            f"The file has {size_bytes} bytes and the SHA-256 {sha256}; announced were {upload.bytes} bytes"
            f"{f' and {upload.sha256}' if upload.sha256 else ''}. Upload it again."
        )
    logger.info("upload_completed", extra={"upload_id": upload.id})
    return desk.uploads.move(upload.id, before=[UploadStatus.OPEN], after=UploadStatus.COMPLETE, sha256=sha256)


def abort_upload(upload: Upload, *, desk: UploadDesk) -> None:
    """End the upload and remove its bytes; Conflict when a job has taken it.

    A store that does not answer is no error: `expire_uploads` removes the bytes later.
    """
    ended = desk.uploads.move(
        upload.id, before=[UploadStatus.OPEN, UploadStatus.COMPLETE, UploadStatus.ENDED], after=UploadStatus.ENDED
    )
    _purge(ended, desk)


@contextmanager
def taken(upload: Upload, *, desk: UploadDesk) -> Iterator[InputFile]:
    """The recording of a complete upload, for the job that is made of it inside; the upload ends with that.

    Conflict when it is not complete, or a job has it. An InvalidInput inside, for what is no audio, ends the upload
    too; any other error leaves it to be tried again.
    """
    upload = desk.uploads.move(upload.id, before=[UploadStatus.COMPLETE], after=UploadStatus.TAKEN)
    try:
        yield InputFile(
            name=upload.name,
            key=upload.key,
            bytes=upload.bytes,
            sha256=upload.sha256 or "",
            media_type=upload.media_type,
        )
    except InvalidInput:
        _purge(desk.uploads.move(upload.id, before=[UploadStatus.TAKEN], after=UploadStatus.ENDED), desk)
        raise
    except BaseException:
        desk.uploads.move(upload.id, before=[UploadStatus.TAKEN], after=UploadStatus.COMPLETE)
        raise
    desk.uploads.remove(upload.id)


@contextmanager
def copied(upload: Upload, *, key: str, desk: UploadDesk) -> Iterator[InputFile]:
    """A copy, under `key`, of a complete upload, for the job that is made inside; the upload ends with that.

    Conflict when it is not complete, or a job has it. Any error inside removes the copy and leaves the upload.
    """
    upload = desk.uploads.move(upload.id, before=[UploadStatus.COMPLETE], after=UploadStatus.TAKEN)
    try:
        desk.store.copy(upload.key, key, media_type=upload.media_type)
        yield InputFile(
            name=upload.name,
            key=key,
            bytes=upload.bytes,
            sha256=upload.sha256 or "",
            media_type=upload.media_type,
        )
    except BaseException:
        desk.uploads.move(upload.id, before=[UploadStatus.TAKEN], after=UploadStatus.COMPLETE)
        desk.store.delete_prefix(key)
        raise
    _purge(desk.uploads.move(upload.id, before=[UploadStatus.TAKEN], after=UploadStatus.ENDED), desk)


def expire_uploads(desk: UploadDesk, *, jobs: JobRepository, now: datetime) -> int:
    """Remove what is left of uploads that ended or were not used in time; return of how many.

    Safe to run from many processes at once. One that a job has taken is only forgotten.
    """
    removed = 0
    for upload in desk.uploads.list_expired(now=now):
        if upload.status is UploadStatus.TAKEN and has_job(upload.id, jobs=jobs):
            desk.uploads.remove(upload.id)
            continue
        try:
            ended = desk.uploads.move(upload.id, before=[upload.status], after=UploadStatus.ENDED)
        except (Conflict, NotFound):
            continue  # somebody else was faster
        removed += _purge(ended, desk)
    return removed


def _purge(upload: Upload, desk: UploadDesk) -> bool:
    try:
        desk.parts.abort(upload.key, upload.reference)
        desk.store.delete_prefix(job_prefix(upload.id))
        desk.uploads.remove(upload.id)
    except TransientError as error:
        logger.warning("upload_not_removed", extra={"upload_id": upload.id, "reason": error.detail})
        return False
    logger.info("upload_removed", extra={"upload_id": upload.id})
    return True


def _check_sizes(upload: Upload, desk: UploadDesk) -> None:
    sizes = desk.parts.sizes(upload.key, upload.reference, count=len(upload.parts))
    missing = [part.number for part in upload.parts if part.number not in sizes]
    if missing:
        raise Conflict(f"{len(missing)} parts have not arrived: {', '.join(map(str, missing[:20]))}.")
    for part in upload.parts:
        if sizes[part.number] != part.bytes:
            raise Conflict(f"Part {part.number} has {sizes[part.number]} bytes instead of {part.bytes}. Send it again.")


def _is_joined(upload: Upload, store: ObjectStore) -> bool:
    """True when an earlier call has joined the parts and then died."""
    try:
        store.open_reader(upload.key).close()
    except NotFound:
        return False
    return True


def _measure(upload: Upload, store: ObjectStore) -> tuple[int, str]:
    size_bytes, digest = 0, hashlib.sha256()
    with store.open_reader(upload.key) as whole:
        while block := whole.read(HASH_BLOCK_BYTES):
            size_bytes += len(block)
            digest.update(block)
    return size_bytes, digest.hexdigest()

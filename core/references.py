"""Use case: a clean reference of a job's recording is taken in beside it, for the report to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from core.errors import InvalidInput, of_reference
from core.jobs import InputFile
from core.object_keys import reference_key
from core.options import EnhanceOptions, check_single_output
from core.outbound.client import OutboundClient
from core.services import InputUpload, discard_object, file_at, probe_stored
from core.settings import Settings
from core.uploads.services import UploadDesk, copied
from core.uploads.upload import Upload


def check_comparable(options: EnhanceOptions) -> None:
    """InvalidOptions when the job has several outputs: a reference is of one."""
    check_single_output(options, what="reference: it is of one output")


@contextmanager
def reference_received(upload: InputUpload, *, desk: UploadDesk, settings: Settings) -> Iterator[InputFile]:
    """The reference that has arrived whole, for the job that is made inside; removed when that fails.

    Raises what is wrong with it: UnsupportedMedia, InvalidAudio, InputTooLarge, StorageError.
    """
    with ExitStack() as undo:
        undo.callback(discard_object, desk.store, reference_key(upload.job_id))
        yield _checked(upload.finish(), desk=desk, settings=settings)
        undo.pop_all()


@contextmanager
def reference_of_upload(upload: Upload, *, job_id: str, desk: UploadDesk, settings: Settings) -> Iterator[InputFile]:
    """The reference that a complete upload holds, copied to the job that is made inside; the upload ends with that.

    Conflict when it is not complete; else as `reference_received`, and the upload stays.
    """
    with copied(upload, key=reference_key(job_id), desk=desk) as stored:
        yield _checked(stored, desk=desk, settings=settings)


def reference_at(url: str, *, job_id: str, outbound: OutboundClient) -> InputFile:
    """The reference that a worker fetches; ForbiddenUrl."""
    return file_at(url, key=reference_key(job_id), outbound=outbound)


def _checked(stored: InputFile, *, desk: UploadDesk, settings: Settings) -> InputFile:
    try:
        return probe_stored(stored, store=desk.store, settings=settings)
    except InvalidInput as error:
        raise of_reference(error) from error

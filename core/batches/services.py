"""Use cases: find a batch, cancel it, and lay out what it has made."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import PurePath

from core.access.keys import Caller
from core.batches.batch import Batch, BatchItem, BatchRepository, status_of
from core.errors import Conflict, Expired, NotFound
from core.jobs import JobStatus, OutputFile

logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class BatchFile:
    """A file that a batch has made, and its name among all of them."""

    item: BatchItem
    output: OutputFile
    path: str


def find_batch(batch_id: str, *, batches: BatchRepository, caller: Caller) -> Batch:
    """The batch; NotFound when there is none that the caller may see."""
    batch = batches.get(batch_id)
    if not caller.sees(batch):
        raise NotFound("There is no such batch.")
    return batch


def cancel_batch(batch_id: str, *, batches: BatchRepository, caller: Caller, now: datetime) -> Batch:
    """Ask every job of the batch to stop that has not ended: see core.services.cancel_job.

    NotFound as above, Conflict when all have ended.
    """
    batch = find_batch(batch_id, batches=batches, caller=caller)
    status = status_of(batch.items(now=now))
    if status.is_terminal:
        raise Conflict(f"The batch has already ended: {status}.")
    batches.request_cancel(batch_id, now=now)
    logger.info("batch_cancel_requested", extra={"batch_id": batch_id})
    return batches.get(batch_id)


def files_of(items: Sequence[BatchItem], outputs: Mapping[str, Sequence[OutputFile]]) -> Sequence[BatchFile]:
    """Every file of the batch in the order of the items, under a name that no other has.

    `outputs` are by job id. Of equal names, the later ones get a number before their suffix. Names are equal when a
    file system that does not tell capitals from small letters would take them for one. MANIFEST_NAME is taken.
    """
    taken = {MANIFEST_NAME}
    files = []
    for item in items:
        for output in outputs.get(item.job_id or "", ()):
            path = next(name for name in _numbered(output.name) if name.casefold() not in taken)
            taken.add(path.casefold())
            files.append(BatchFile(item=item, output=output, path=path))
    return files


def check_archivable(items: Sequence[BatchItem], *, now: datetime) -> None:
    """Conflict while the batch runs; Expired when some of its files are no longer kept."""
    status = status_of(items)
    if not status.is_terminal:
        raise Conflict(f"The batch is {status}: there is no archive yet. Results can be fetched job by job.")
    made = [item for item in items if item.status is JobStatus.SUCCEEDED and item.deleted_at is None]
    lost = sum(not item.has_files(now=now) for item in made)
    if lost:
        raise Expired(f"The files of {lost} of {len(made)} jobs have expired. What is left can be fetched job by job.")


def _numbered(name: str) -> Iterator[str]:
    yield name
    path = PurePath(name)
    for number in count(2):
        yield f"{path.stem}-{number}{path.suffix}"

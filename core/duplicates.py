"""Use case: a recording that was restored before, in the same way, need not be restored again."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from core.jobs import Job
from core.model_catalogue import find_model
from core.options import EnhanceOptions
from core.repository import JobRepository


def find_result(
    sha256: str,
    options: EnhanceOptions,
    *,
    size_bytes: int,
    reference_sha256: str | None = None,
    owner: str | None,
    jobs: JobRepository,
    models_dir: Path,
    now: datetime,
) -> Job | None:
    """The owner's newest job that made of these very bytes what `options` would make of them now; None without one.

    Equal are the resolved options, the preset's version among them, the reference that the report compares with, and
    the model's weights; and its files are kept.
    """
    resolved = options.model_dump(mode="json")
    for job in jobs.list_results_of(sha256, size_bytes=size_bytes, owner=owner, now=now):
        used_reference = None if job.reference is None else job.reference.sha256
        if (
            job.options == resolved
            and used_reference == reference_sha256
            and _has_same_weights(job, options.model, models_dir)
        ):
            return job
    return None


def _has_same_weights(job: Job, model: str | None, models_dir: Path) -> bool:
    if model is None:
        return True
    checkpoint = find_model(model).own_checkpoint(models_dir)
    if checkpoint is None:
        return True  # weights of others carry their hash in the file's name: another version is another file
    card = json.loads(checkpoint.with_suffix(".json").read_text(encoding="utf-8"))
    used = (job.report or {}).get("model") or {}
    return bool(card.get("weights_sha256")) and used.get("weights_sha256") == card["weights_sha256"]

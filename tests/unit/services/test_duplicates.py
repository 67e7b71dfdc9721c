"""Whether an earlier job's result is what a new one would be: the model's weights."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from core.duplicates import find_result
from core.jobs import Job, Progress
from core.model_catalogue import find_model
from core.options import resolve_options
from tests.factories import NOON, make_job, make_output
from tests.fakes import FakeJobRepository

OPTIONS = resolve_options("speech-dns48")
SHA256 = "0" * 64


def add_result(jobs: FakeJobRepository, *, weights_sha256: str | None) -> Job:
    job = make_job(options=OPTIONS.model_dump(mode="json"))
    jobs.add(job)
    run = jobs.claim(job.id, worker="w", lease_s=60, now=NOON)
    assert run is not None
    assert run.lease_token is not None
    jobs.succeed(
        job.id,
        lease_token=run.lease_token,
        outputs=[make_output()],
        report={"model": {"name": "dns48", "weights_sha256": weights_sha256}},
        warnings=[],
        progress=Progress(fraction=1.0),
        now=NOON,
        expires_at=NOON + timedelta(days=7),
    )
    return jobs.get(job.id)


def find(jobs: FakeJobRepository, models_dir: Path) -> Job | None:
    return find_result(SHA256, OPTIONS, size_bytes=320_044, owner=None, jobs=jobs, models_dir=models_dir, now=NOON)


@pytest.mark.parametrize(("used", "is_same"), [("a" * 64, True), ("b" * 64, False), (None, False)])
def test_own_weights_must_be_the_installed_ones(tmp_path: Path, used: str | None, is_same: bool) -> None:
    jobs = FakeJobRepository()
    job = add_result(jobs, weights_sha256=used)
    (tmp_path / "dns48.safetensors").touch()
    (tmp_path / "dns48.json").write_text(json.dumps({"weights_sha256": "a" * 64}))

    assert find(jobs, tmp_path) == (job if is_same else None)


def test_released_weights_are_known_by_their_file_name(tmp_path: Path) -> None:
    jobs = FakeJobRepository()
    job = add_result(jobs, weights_sha256="c" * 64)
    assert find_model("dns48").own_checkpoint(tmp_path) is None

    assert find(jobs, tmp_path) == job


def test_another_version_of_the_preset_is_another_result(tmp_path: Path) -> None:
    jobs = FakeJobRepository()
    add_result(jobs, weights_sha256="c" * 64)
    newer = OPTIONS.model_copy(update={"preset_version": OPTIONS.preset_version + 1})

    found = find_result(SHA256, newer, size_bytes=320_044, owner=None, jobs=jobs, models_dir=tmp_path, now=NOON)

    assert found is None

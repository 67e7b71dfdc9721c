"""The use cases: a recording comes in, a job comes out; nothing stays of what is refused."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.access.keys import ANYONE
from core.errors import (
    Conflict,
    InputTooLarge,
    InvalidOptions,
    ModelUnavailable,
    NotFound,
    StorageError,
    UnknownPreset,
    UnsupportedMedia,
)
from core.ids import new_id
from core.job_desk import JobDesk
from core.jobs import Device, InputFile, Job, JobStatus, Lane
from core.model_catalogue import MODELS
from core.options import resolve_options
from core.outbound.client import OutboundClient
from core.services import InputUpload, JobRequest, cancel_job, submit_job
from core.settings import Settings
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore, fake_resolve

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
OUTBOUND = OutboundClient(resolve=fake_resolve)
CLEAN_ONLY = JobRequest(preset="clean-only")


@pytest.fixture
def store() -> FakeObjectStore:
    return FakeObjectStore()


@pytest.fixture
def jobs() -> FakeJobRepository:
    return FakeJobRepository()


@pytest.fixture
def queue() -> FakeJobQueue:
    return FakeJobQueue()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, max_duration_s=10.0)


def recording(seconds: float = 0.5) -> bytes:
    buffer = io.BytesIO()
    samples = 0.1 * np.random.default_rng(1).standard_normal(round(seconds * 16_000))
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


def upload(store: FakeObjectStore, data: bytes, *, name: str = "talk.wav", max_bytes: int = 10**6) -> InputFile:
    job_id = new_id()
    with InputUpload(store, job_id=job_id, name=name, media_type="audio/wav", max_bytes=max_bytes) as writer:
        for start in range(0, len(data), 1000):
            writer.write(data[start : start + 1000])
        return writer.finish()


@pytest.fixture
def desk(store: FakeObjectStore, jobs: FakeJobRepository, queue: FakeJobQueue, settings: Settings) -> JobDesk:
    return JobDesk(store=store, jobs=jobs, queue=queue, outbound=OUTBOUND, settings=settings)


def submit(stored: InputFile, request: JobRequest, desk: JobDesk) -> Job:
    return submit_job(stored, request, job_id=stored.key.split("/")[1], desk=desk, now=NOW)


class TestInputUpload:
    def test_finished_upload_is_stored_counted_and_hashed(self, store: FakeObjectStore) -> None:
        data = recording()

        stored = upload(store, data)

        assert store.objects == {stored.key: data}
        assert (stored.bytes, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())

    def test_upload_left_without_finish_is_gone(self, store: FakeObjectStore) -> None:
        with InputUpload(store, job_id=new_id(), name="a", media_type="audio/wav", max_bytes=100) as writer:
            writer.write(b"half")

        assert store.objects == {}

    def test_upload_of_exactly_the_limit_is_taken(self, store: FakeObjectStore) -> None:
        assert upload(store, bytes(2500), max_bytes=2500).bytes == 2500

    def test_one_byte_over_the_limit_is_refused(self, store: FakeObjectStore) -> None:
        with pytest.raises(InputTooLarge, match="2500 bytes"):
            upload(store, bytes(2501), max_bytes=2500)

        assert store.objects == {}

    def test_empty_upload_is_refused(self, store: FakeObjectStore) -> None:
        with pytest.raises(UnsupportedMedia, match="empty"):
            upload(store, b"")

        assert store.objects == {}

    def test_user_name_is_shown_but_never_part_of_the_key(self, store: FakeObjectStore) -> None:
        stored = upload(store, b"x", name="../../secret\n.wav")

        assert stored.name == "secret .wav"
        assert "secret" not in stored.key


class TestSubmitJob:
    def test_job_holds_resolved_options_and_what_the_probe_found(
        self, store: FakeObjectStore, jobs: FakeJobRepository, queue: FakeJobQueue, desk: JobDesk
    ) -> None:
        request = JobRequest(preset="clean-only", overrides={"strength": 0.5}, lane=Lane.BULK, metadata={"n": [1]})

        job = submit(upload(store, recording()), request, desk)

        assert jobs.get(job.id) == job
        assert job.status is JobStatus.QUEUED
        assert job.options == resolve_options("clean-only", {"strength": 0.5}).model_dump(mode="json")
        assert job.metadata == {"n": [1]}
        assert (job.input.duration_s, job.input.sample_rate, job.input.channels) == (0.5, 16_000, 1)
        assert job.progress.duration_s == 0.5
        assert queue.sent == [(job.id, "cpu.bulk")]

    def test_job_goes_to_the_device_of_the_settings(
        self, store: FakeObjectStore, queue: FakeJobQueue, desk: JobDesk
    ) -> None:
        on_gpu = replace(desk, settings=desk.settings.model_copy(update={"device": "gpu"}))

        job = submit(upload(store, recording()), CLEAN_ONLY, on_gpu)

        assert job.device is Device.GPU
        assert queue.sent == [(job.id, "gpu.interactive")]

    def test_sent_job_is_not_due_to_be_sent_again(
        self, store: FakeObjectStore, jobs: FakeJobRepository, queue: FakeJobQueue, desk: JobDesk
    ) -> None:
        sent = submit(upload(store, recording()), CLEAN_ONLY, desk)
        queue.is_down = True
        unsent = submit(upload(store, recording()), CLEAN_ONLY, desk)

        due = jobs.sweep(now=NOW.replace(second=10)).to_send

        assert [job.id for job in due] == [unsent.id]
        assert sent.id != unsent.id

    def test_installed_model_is_accepted(self, store: FakeObjectStore, settings: Settings, desk: JobDesk) -> None:
        settings.resolved_models_dir.mkdir(parents=True)
        (settings.resolved_models_dir / MODELS["dns48"].files[0].name).write_bytes(b"weights")

        job = submit(upload(store, recording()), JobRequest(preset="speech-dns48"), desk)

        assert job.options["model"] == "dns48"

    @pytest.mark.parametrize(
        ("data", "request_", "error"),
        [
            (b"no audio at all", CLEAN_ONLY, UnsupportedMedia),
            (recording(10.1), CLEAN_ONLY, InputTooLarge),
            (recording(), JobRequest(preset="loud"), UnknownPreset),
            (recording(), JobRequest(preset="clean-only", overrides={"colour": 1}), InvalidOptions),
            (recording(), JobRequest(preset="speech-dns48"), ModelUnavailable),
        ],
    )
    def test_refused_recording_is_removed(
        self,
        store: FakeObjectStore,
        jobs: FakeJobRepository,
        queue: FakeJobQueue,
        data: bytes,
        request_: JobRequest,
        error: type[Exception],
        desk: JobDesk,
    ) -> None:
        stored = upload(store, data)

        with pytest.raises(error):
            submit(stored, request_, desk)

        assert store.objects == {}
        assert jobs.list().jobs == []
        assert queue.sent == []

    def test_store_that_cannot_delete_does_not_hide_the_reason(
        self, store: FakeObjectStore, monkeypatch: pytest.MonkeyPatch, desk: JobDesk
    ) -> None:
        def refuse(prefix: str) -> int:
            raise StorageError("The object store did not answer.")

        monkeypatch.setattr(store, "delete_prefix", refuse)

        with pytest.raises(UnknownPreset):
            submit(upload(store, recording()), JobRequest(preset="loud"), desk)

    def test_database_that_does_not_answer_leaves_no_recording(
        self, store: FakeObjectStore, jobs: FakeJobRepository, queue: FakeJobQueue, desk: JobDesk
    ) -> None:
        jobs.is_down = True

        with pytest.raises(StorageError):
            submit(upload(store, recording()), CLEAN_ONLY, desk)

        assert store.objects == {}
        assert queue.sent == []


class TestCancelJob:
    def test_queued_job_ends(self, store: FakeObjectStore, jobs: FakeJobRepository, desk: JobDesk) -> None:
        job = submit(upload(store, recording()), CLEAN_ONLY, desk)

        assert cancel_job(job.id, jobs=jobs, caller=ANYONE, now=NOW).status is JobStatus.CANCELLED
        with pytest.raises(Conflict):
            cancel_job(job.id, jobs=jobs, caller=ANYONE, now=NOW)

    def test_unknown_job_is_not_found(self, jobs: FakeJobRepository) -> None:
        with pytest.raises(NotFound):
            cancel_job(new_id(), jobs=jobs, caller=ANYONE, now=NOW)

"""A clean reference beside the recording: by form, by upload, by URL; refused with a reason, gone without trace."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.jobs import InputFile
from core.uploads.upload import UploadStatus
from tests.access_fakes import FakeUploadRepository
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import finish, start
from tests.unit.api.recordings import wav
from tests.unit.api.test_submit import form
from tests.unit.api.test_uploads import upload_whole

JOBS = "/api/v1/jobs"
NOISY, CLEAN = wav(1.0), wav(1.0, channels=2)
CLEAN_URL = "https://example.com/talks/clean.flac"
NOT_AUDIO = b"<html>words, not sound</html>" * 50


def send(client: TestClient, *, reference: bytes = CLEAN, options: dict[str, Any] | None = None, **more: Any) -> Any:  # noqa: ANN401
    files = {"file": ("talk.wav", NOISY), "reference": ("clean.wav", reference)}
    data = {"preset": "clean-only", "options": json.dumps(options or {})} | more.pop("data", {})
    return client.post(JOBS, files=files, data=data, **more)


def test_form_with_a_reference_becomes_a_job_that_holds_both(
    client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository, queue: FakeJobQueue
) -> None:
    response = send(client)

    assert response.status_code == 202, response.text
    told = response.json()
    assert told["reference"] == {
        "name": "clean.wav",
        "media_type": "audio/wav",
        "bytes": len(CLEAN),
        "sha256": hashlib.sha256(CLEAN).hexdigest(),
        "duration_s": 1.0,
        "sample_rate": 16_000,
        "channels": 2,
    }
    assert store.objects == {f"jobs/{told['id']}/input": NOISY, f"jobs/{told['id']}/reference": CLEAN}
    reference = jobs.get(told["id"]).reference
    assert reference is not None
    assert reference.key == f"jobs/{told['id']}/reference"
    assert client.get(f"{JOBS}/{told['id']}").json()["reference"] == told["reference"]


def test_reference_may_come_before_the_recording(client: TestClient, store: FakeObjectStore) -> None:
    body, headers = form(
        ("reference", "clean.wav", CLEAN), ("preset", None, b"clean-only"), ("file", "talk.wav", NOISY)
    )

    told = client.post(JOBS, content=body, headers=headers).json()

    assert store.objects == {f"jobs/{told['id']}/input": NOISY, f"jobs/{told['id']}/reference": CLEAN}


def test_job_without_a_reference_says_so(client: TestClient) -> None:
    response = client.post(JOBS, files={"file": ("talk.wav", NOISY)}, data={"preset": "clean-only"})

    assert response.json()["reference"] is None


@pytest.mark.parametrize(
    ("reference", "status", "code"),
    [
        (NOT_AUDIO, 415, "unsupported_media"),
        (b"", 415, "unsupported_media"),
        (CLEAN[:44], 422, "invalid_audio"),
        (wav(61.0, 8000), 413, "input_too_large"),
    ],
    ids=["text", "empty", "header alone", "too long"],
)
def test_reference_that_cannot_be_used_is_refused_and_nothing_stays(
    client: TestClient, store: FakeObjectStore, queue: FakeJobQueue, reference: bytes, status: int, code: str
) -> None:
    response = send(client, reference=reference)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "reference" in response.json()["detail"] or "clean.wav" in response.json()["detail"]
    assert store.objects == {}
    assert queue.sent == []


def test_recording_that_cannot_be_used_takes_its_reference_with_it(client: TestClient, store: FakeObjectStore) -> None:
    files = {"file": ("talk.wav", NOT_AUDIO), "reference": ("clean.wav", CLEAN)}

    response = client.post(JOBS, files=files, data={"preset": "clean-only"})

    assert response.status_code == 415
    assert "reference" not in response.json()["detail"]
    assert store.objects == {}


def test_two_references_are_refused(client: TestClient, store: FakeObjectStore) -> None:
    body, headers = form(("reference", "a.wav", CLEAN), ("reference", "b.wav", CLEAN), ("file", "talk.wav", NOISY))

    response = client.post(JOBS, content=body, headers=headers)

    assert response.status_code == 400
    assert "'reference' twice" in response.json()["detail"]
    assert store.objects == {}


def test_batch_takes_no_reference(client: TestClient, store: FakeObjectStore) -> None:
    files = {"file": ("talk.wav", NOISY), "reference": ("clean.wav", CLEAN)}

    response = client.post("/api/v1/batches", files=files, data={"preset": "clean-only"})

    assert response.status_code == 400
    assert "unknown field 'reference'" in response.json()["detail"]
    assert store.objects == {}


def test_deleting_the_job_deletes_its_reference(
    client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository
) -> None:
    job_id = send(client).json()["id"]

    assert client.delete(f"{JOBS}/{job_id}").status_code == 204

    assert store.objects == {}
    assert jobs.get(job_id).reference is None


def test_uploads_become_recording_and_reference(
    client: TestClient, store: FakeObjectStore, uploads: FakeUploadRepository
) -> None:
    recording, reference = upload_whole(client, NOISY), upload_whole(client, CLEAN)

    response = client.post(
        JOBS,
        json={"input": {"upload_id": recording}, "reference": {"upload_id": reference}, "preset": "clean-only"},
    )

    assert response.status_code == 202, response.text
    assert response.json()["reference"]["channels"] == 2
    assert store.objects == {f"jobs/{recording}/input": NOISY, f"jobs/{recording}/reference": CLEAN}
    assert client.get(f"/api/v1/uploads/{reference}").status_code == 404


def test_upload_that_is_no_reference_ends_neither_upload(
    client: TestClient, store: FakeObjectStore, uploads: FakeUploadRepository
) -> None:
    recording, reference = upload_whole(client, NOISY), upload_whole(client, NOT_AUDIO)
    before = dict(store.objects)

    response = client.post(
        JOBS,
        json={"input": {"upload_id": recording}, "reference": {"upload_id": reference}, "preset": "clean-only"},
    )

    assert response.status_code == 415
    assert "The reference cannot be used" in response.json()["detail"]
    assert store.objects == before
    assert {uploads.get(upload_id).status for upload_id in (recording, reference)} == {UploadStatus.COMPLETE}


def test_one_upload_cannot_be_both(client: TestClient) -> None:
    recording = upload_whole(client, NOISY)

    response = client.post(JOBS, json={"input": {"upload_id": recording}, "reference": {"upload_id": recording}})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_options")


def test_reference_by_url_is_left_to_the_worker(
    client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository
) -> None:
    body = {"input": {"url": "https://example.com/talk.ogg"}, "reference": {"url": CLEAN_URL}, "preset": "clean-only"}

    response = client.post(JOBS, json=body)

    assert response.status_code == 202, response.text
    job_id = response.json()["id"]
    assert jobs.get(job_id).reference == InputFile(
        name="clean.flac",
        key=f"jobs/{job_id}/reference",
        bytes=0,
        sha256="",
        media_type="application/octet-stream",
        url=CLEAN_URL,
    )
    assert store.objects == {}


def test_reference_at_a_private_address_is_refused(client: TestClient) -> None:
    body = {"input": {"url": "https://example.com/talk.ogg"}, "reference": {"url": "http://127.0.0.1/clean.wav"}}

    response = client.post(JOBS, json={**body, "preset": "clean-only"})

    assert (response.status_code, response.json()["code"]) == (422, "forbidden_url")


def test_job_with_several_stems_takes_no_reference(
    client: TestClient, store: FakeObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.model_catalogue.ModelRecord.is_installed", lambda self, models_dir: True)

    several = send(client, data={"preset": "fast"})
    left_behind = dict(store.objects)
    one = send(client, data={"preset": "fast"}, options={"overrides": {"stems": ["vocals"]}})

    assert (several.status_code, several.json()["code"]) == (422, "invalid_options")
    assert "drums, bass, other, vocals" in several.json()["detail"]
    assert left_behind == {}
    assert one.status_code == 202


def test_idempotency_key_is_of_recording_and_reference(client: TestClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = send(client, headers=headers)

    again = send(client, headers=headers)
    other = send(client, reference=wav(1.0), headers=headers)

    assert (again.status_code, again.json()) == (202, first.json())
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_dedupe_finds_the_job_with_the_same_reference_only(
    client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository
) -> None:
    dedupe = {"dedupe": True}
    first = send(client, options=dedupe).json()["id"]
    finish(jobs, store, start(jobs, first), {"talk.enhanced.wav": b"RIFF"})

    same = send(client, options=dedupe)
    other = send(client, reference=wav(1.0), options=dedupe)
    none = client.post(
        JOBS,
        files={"file": ("talk.wav", NOISY)},
        data={"preset": "clean-only", "options": json.dumps(dedupe)},
    )

    assert (same.status_code, same.json()["id"]) == (200, first)
    assert other.status_code == none.status_code == 202

"""Uploads in parts over HTTP, and jobs that are made of them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.uploads import upload as upload_module
from tests.access_fakes import FakeUploadRepository
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.fixed_ids import UNKNOWN_ID
from tests.unit.api.jobs_on_record import finish, start
from tests.unit.api.recordings import wav

UPLOADS = "/api/v1/uploads"
JOBS = "/api/v1/jobs"
DATA = wav(1.0)
PART_BYTES = 10_000  # 32,044 bytes: four parts


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_module, "SMALLEST_PART_BYTES", PART_BYTES)


def begin(client: TestClient, data: bytes = DATA, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    response = client.post(UPLOADS, json={"name": "talk.wav", "bytes": len(data), **changes})
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    assert response.headers["Location"] == told["links"]["self"]
    return told


def send_parts(client: TestClient, upload: dict[str, Any], data: bytes = DATA) -> None:
    for part in upload["parts"]:
        piece = data[part["offset_bytes"] :][: part["bytes"]]
        assert client.put(part["url"], content=piece).status_code == 204


def upload_whole(client: TestClient, data: bytes = DATA) -> str:
    upload = begin(client, data)
    send_parts(client, upload, data)
    assert client.post(upload["links"]["complete"]).status_code == 200
    return str(upload["id"])


def submit(client: TestClient, upload_id: str, **more: Any) -> Any:  # noqa: ANN401 - JSON in, a response out
    headers = more.pop("headers", {})
    return client.post(JOBS, json={"input": {"upload_id": upload_id}, "preset": "clean-only", **more}, headers=headers)


def test_recording_in_parts_becomes_a_job_of_the_same_id(
    client: TestClient, jobs: FakeJobRepository, queue: FakeJobQueue, store: FakeObjectStore
) -> None:
    upload = begin(client, sha256=hashlib.sha256(DATA).hexdigest())
    assert [part["bytes"] for part in upload["parts"]] == [10_000, 10_000, 10_000, 2_044]
    assert upload["status"] == "open"
    send_parts(client, upload)

    completed = client.post(upload["links"]["complete"])
    response = submit(client, upload["id"], lane="bulk", metadata={"n": 1})

    assert (completed.status_code, completed.json()["status"]) == (200, "complete")
    assert all(part["is_received"] and part["url"] is None for part in completed.json()["parts"])
    assert response.status_code == 202
    told = response.json()
    assert told["id"] == upload["id"]
    assert told["input"]["name"] == "talk.wav"
    assert told["input"]["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert (told["input"]["bytes"], told["input"]["sample_rate"]) == (len(DATA), 16_000)
    assert (told["lane"], told["metadata"]) == ("bulk", {"n": 1})
    assert queue.sent == [(upload["id"], "cpu.bulk")]
    assert store.objects == {jobs.get(upload["id"]).input.key: DATA}


def test_upload_tells_what_has_arrived_so_that_it_can_be_resumed(client: TestClient) -> None:
    upload = begin(client)
    client.put(upload["parts"][1]["url"], content=DATA[10_000:20_000])

    told = client.get(upload["links"]["self"]).json()

    assert [part["is_received"] for part in told["parts"]] == [False, True, False, False]
    early = client.post(upload["links"]["complete"])
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    assert "1, 3, 4" in early.json()["detail"]


@pytest.mark.parametrize(("length", "status"), [(9_999, 400), (10_001, 413), (0, 400)])
def test_part_of_another_size_is_refused_and_not_kept(
    client: TestClient, store: FakeObjectStore, length: int, status: int
) -> None:
    upload = begin(client)

    assert client.put(upload["parts"][0]["url"], content=bytes(length)).status_code == status
    assert store.objects == {}


@pytest.mark.parametrize(("number", "status"), [(5, 404), (0, 422), (1001, 422)])
def test_part_that_there_is_not_is_refused(client: TestClient, number: int, status: int) -> None:
    upload = begin(client)

    assert client.put(f"{upload['links']['self']}/parts/{number}", content=b"x").status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "a"}, 422),
        ({"name": "a", "bytes": 0}, 422),
        ({"name": "a", "bytes": 4_000_001}, 413),
        ({"name": "a", "bytes": 1, "sha256": "x"}, 422),
        ({"name": "a", "bytes": 1, "media_type": "a\r\nb"}, 422),
        ({"name": "a", "bytes": 1, "colour": "red"}, 422),
    ],
)
def test_what_cannot_be_uploaded_is_refused(client: TestClient, body: dict[str, Any], status: int) -> None:
    response = client.post(UPLOADS, json=body)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_aborted_upload_is_gone(client: TestClient, store: FakeObjectStore) -> None:
    upload = begin(client)
    send_parts(client, upload)

    assert client.delete(upload["links"]["self"]).status_code == 204

    assert store.objects == {}
    assert client.get(upload["links"]["self"]).status_code == 404
    assert client.put(upload["parts"][0]["url"], content=bytes(10_000)).status_code == 404
    assert submit(client, upload["id"]).status_code == 404


@pytest.mark.parametrize("upload_id", [UNKNOWN_ID, "x"])
def test_unknown_upload_is_not_found(client: TestClient, upload_id: str) -> None:
    assert client.get(f"{UPLOADS}/{upload_id}").status_code == 404
    assert client.post(f"{UPLOADS}/{upload_id}/complete").status_code == 404
    assert client.delete(f"{UPLOADS}/{upload_id}").status_code == 404


def test_upload_makes_one_job(client: TestClient, jobs: FakeJobRepository) -> None:
    upload_id = upload_whole(client)

    assert submit(client, upload_id).status_code == 202
    again = submit(client, upload_id)

    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert len(jobs.list().jobs) == 1


def test_job_from_an_open_upload_is_refused(client: TestClient) -> None:
    response = submit(client, begin(client)["id"])

    assert (response.status_code, response.json()["code"]) == (409, "conflict")


def test_wrong_options_leave_the_upload(client: TestClient) -> None:
    upload_id = upload_whole(client)

    assert submit(client, upload_id, preset="loud").json()["code"] == "unknown_preset"
    assert submit(client, upload_id).status_code == 202


def test_what_is_no_audio_is_refused_and_removed(
    client: TestClient, store: FakeObjectStore, uploads: FakeUploadRepository
) -> None:
    upload_id = upload_whole(client, b"no audio at all")

    assert submit(client, upload_id).status_code == 415
    assert store.objects == {}
    assert client.get(f"{UPLOADS}/{upload_id}").status_code == 404


def test_repeated_request_under_a_key_gets_the_first_reply(client: TestClient) -> None:
    upload_id = upload_whole(client)
    headers = {"Idempotency-Key": "k"}

    first, second = submit(client, upload_id, headers=headers), submit(client, upload_id, headers=headers)
    other = submit(client, upload_whole(client), headers=headers)

    assert (second.status_code, second.content) == (202, first.content)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert other.json()["code"] == "idempotency_mismatch"


def test_duplicate_is_answered_with_the_earlier_result(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
) -> None:
    first = upload_whole(client)
    submit(client, first)
    finish(jobs, store, start(jobs, first), {"a.wav": b"sound"})

    response = submit(client, upload_whole(client), dedupe=True)

    assert (response.status_code, response.json()["id"]) == (200, first)


@pytest.mark.parametrize(
    "reference", [{}, {"upload_id": "x"}, {"upload_id": 7}, {"upload_id": UNKNOWN_ID, "url": "https://example.com/a"}]
)
def test_reference_must_be_one_thing(client: TestClient, reference: dict[str, Any]) -> None:
    response = client.post(JOBS, json={"input": reference, "preset": "clean-only"})

    assert (response.status_code, response.json()["code"]) == (422, "invalid_options")

"""Fetching results: whole, by range, by condition, by redirect."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from api.downloads import ByteRange, parse_range
from core.ids import new_id
from core.jobs import Job
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import add_queued, add_succeeded, fail, start

DATA = bytes(range(256)) * 4000  # 1,024,000 bytes: several blocks
SHA256 = hashlib.sha256(DATA)


@pytest.fixture
def job(jobs: FakeJobRepository, store: FakeObjectStore) -> Job:
    return add_succeeded(jobs, store, {"talk.enhanced.wav": DATA})


@pytest.fixture
def href(job: Job) -> str:
    return f"/api/v1/jobs/{job.id}/outputs/talk.enhanced.wav"


def test_whole_file_is_sent_with_its_digest(client: TestClient, href: str) -> None:
    response = client.get(href)

    assert response.status_code == 200
    assert response.content == DATA
    assert response.headers["Content-Type"] == "audio/wav"
    assert response.headers["Content-Length"] == str(len(DATA))
    assert response.headers["ETag"] == f'"{SHA256.hexdigest()}"'
    assert response.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(SHA256.digest()).decode()}:"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Disposition"] == 'attachment; filename="talk.enhanced.wav"'


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=1000-", 1000, len(DATA)),
        ("bytes=-500", len(DATA) - 500, len(DATA)),
        ("bytes=-99999999", 0, len(DATA)),
        ("bytes=300000-99999999", 300_000, len(DATA)),
        ("bytes=100-900000", 100, 900_001),
    ],
)
def test_range_is_sent_as_partial_content(client: TestClient, href: str, asked: str, start: int, stop: int) -> None:
    response = client.get(href, headers={"Range": asked})

    assert response.status_code == 206
    assert response.content == DATA[start:stop]
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    assert response.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=99999999-", "bytes=-0"])
def test_range_outside_the_file_cannot_be_satisfied(client: TestClient, href: str, asked: str) -> None:
    response = client.get(href, headers={"Range": asked})

    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{len(DATA)}"
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=a-b", "bytes=-", "items=0-1", "bytes=0-1,5-6", "bytes=--1", ""])
def test_range_that_is_not_understood_gives_the_whole_file(client: TestClient, href: str, asked: str) -> None:
    response = client.get(href, headers={"Range": asked})

    assert response.status_code == 200
    assert len(response.content) == len(DATA)


def test_range_of_another_version_gives_the_whole_file(client: TestClient, href: str) -> None:
    same = client.get(href, headers={"Range": "bytes=0-9", "If-Range": f'"{SHA256.hexdigest()}"'})
    other = client.get(href, headers={"Range": "bytes=0-9", "If-Range": '"other"'})

    assert same.status_code == 206
    assert other.status_code == 200


def test_known_file_is_not_sent_again(client: TestClient, href: str) -> None:
    response = client.get(href, headers={"If-None-Match": f'"{SHA256.hexdigest()}"'})

    assert response.status_code == 304
    assert response.content == b""


def test_head_tells_the_same_without_the_bytes(client: TestClient, href: str) -> None:
    response = client.head(href)

    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(len(DATA))
    assert response.headers["ETag"] == f'"{SHA256.hexdigest()}"'
    assert response.content == b""


def test_store_with_urls_of_its_own_is_redirected_to(
    client: TestClient, store: FakeObjectStore, job: Job, href: str
) -> None:
    store.presign_base = "https://objects.example"

    response = client.get(href, follow_redirects=False)

    assert response.status_code == 307
    assert response.headers["Location"] == f"https://objects.example/{job.outputs[0].key}?expires=3600"
    assert response.headers["Cache-Control"] == "no-store"


def test_head_is_not_redirected(client: TestClient, store: FakeObjectStore, href: str) -> None:
    store.presign_base = "https://objects.example"

    assert client.head(href, follow_redirects=False).status_code == 200


@pytest.mark.parametrize("name", ["other.wav", "%2e%2e%2finput", "talk.enhanced.wav%00"])
def test_unknown_output_is_not_found(client: TestClient, job: Job, name: str) -> None:
    response = client.get(f"/api/v1/jobs/{job.id}/outputs/{name}")

    assert response.status_code == 404


def test_missing_object_is_an_error_not_half_a_response(client: TestClient, store: FakeObjectStore, href: str) -> None:
    store.objects.clear()

    response = client.get(href)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"


def test_silent_store_is_told_before_the_first_byte(client: TestClient, store: FakeObjectStore, href: str) -> None:
    store.is_down = True

    assert client.get(href).status_code == 503


def test_job_without_outputs_conflicts(client: TestClient, jobs: FakeJobRepository) -> None:
    failed = start(jobs, add_queued(jobs).id)
    fail(jobs, failed, code="invalid_audio")
    queued = add_queued(jobs)

    answers = [client.get(f"/api/v1/jobs/{job.id}/outputs/a.wav") for job in (queued, failed)]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert "queued" in answers[0].json()["detail"]
    assert "failed" in answers[1].json()["detail"]


def test_name_in_any_script_reaches_the_header(
    client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
) -> None:
    job = add_succeeded(jobs, store, {'录音 "a".wav': b"RIFF"})
    href = client.get(f"/api/v1/jobs/{job.id}").json()["outputs"][0]["href"]

    disposition = client.get(href).headers["Content-Disposition"]

    assert disposition.endswith("; filename*=UTF-8''%E5%BD%95%E9%9F%B3%20%22a%22.wav")
    assert disposition.isascii()


def test_empty_file_has_no_range() -> None:
    assert parse_range("bytes=0-", 0) == ByteRange(start=0, stop=0)


def test_page_that_may_not_talk_to_the_store_gets_the_file_itself(
    client: TestClient, store: FakeObjectStore, href: str
) -> None:
    store.presign_base = "https://objects.example"

    response = client.get(href, params={"redirect": "false"}, follow_redirects=False)

    assert (response.status_code, response.content) == (200, DATA)


def test_recording_is_sent_as_it_came(client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
    job = add_succeeded(jobs, store, {})
    store.put(job.input.key, DATA[: job.input.bytes])
    href = f"/api/v1/jobs/{job.id}/input"

    whole = client.get(href)
    part = client.get(href, headers={"Range": "bytes=1-4"})

    assert (whole.status_code, whole.content) == (200, DATA[: job.input.bytes])
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{job.input.name}"'
    assert (part.status_code, part.content) == (206, DATA[1:5])


def test_recording_that_has_not_been_fetched_is_a_conflict(client: TestClient, jobs: FakeJobRepository) -> None:
    known = add_queued(jobs)
    job = replace(known, id=new_id(), input=replace(known.input, bytes=0, sha256="", url="https://example.com/a.wav"))
    jobs.add(job)

    response = client.get(f"/api/v1/jobs/{job.id}/input")

    assert (response.status_code, response.json()["code"]) == (409, "conflict")

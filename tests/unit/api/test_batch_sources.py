"""Batches of what lies below a prefix of a bucket."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.backend import Backend
from core.batches.batch import MAX_ITEMS
from core.jobs import Lane
from core.sources.location import parse_sources
from core.sources.source import Sources
from tests.fakes import FakeJobRepository
from tests.source_fakes import FakeObjectSource
from tests.unit.api.batch_requests import BATCHES

URL = "s3://archive/talks/"


@pytest.fixture
def bucket() -> FakeObjectSource:
    return FakeObjectSource({("archive", f"talks/{name}"): b"sound" for name in ("a.wav", "b.flac", "notes.txt")})


@pytest.fixture
def backend(backend: Backend, bucket: FakeObjectSource) -> Backend:
    sources = Sources(bucket, allowed=parse_sources([URL]), own_bucket="limpid")
    return replace(backend, sources=sources)


def post_source(client: TestClient, source: dict[str, Any], *, key: str | None = None, **more: Any) -> Any:  # noqa: ANN401
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(BATCHES, json={"preset": "clean-only", "source": source, **more}, headers=headers)


def test_every_recording_that_is_meant_becomes_a_job(client: TestClient, jobs: FakeJobRepository) -> None:
    response = post_source(client, {"url": URL, "patterns": ["*.wav", "*.flac"]}, metadata={"series": 7})

    assert response.status_code == 202
    batch = response.json()
    assert [item["name"] for item in batch["items"]] == ["a.wav", "b.flac"]
    made = [jobs.get(item["job_id"]) for item in batch["items"]]
    assert [job.input.url for job in made] == ["s3://archive/talks/a.wav", "s3://archive/talks/b.flac"]
    assert {(job.lane, job.metadata["series"], job.input.bytes) for job in made} == {(Lane.BULK, 7, 5)}
    assert client.get(f"/api/v1/jobs/{made[0].id}").json()["input"]["sha256"] is None


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ({"url": "s3://archive/"}, "forbidden_url"),
        ({"url": "s3://limpid/jobs/"}, "forbidden_url"),
        ({"url": "https://archive/talks/"}, "invalid_options"),
        ({"url": URL, "patterns": ["*.ogg"]}, "invalid_input"),
        ({"url": URL, "patterns": [""]}, "invalid_options"),
        ({"url": URL, "depth": 1}, "invalid_options"),
    ],
)
def test_what_cannot_be_made_a_batch_is_refused_whole(
    client: TestClient, jobs: FakeJobRepository, source: dict[str, Any], code: str
) -> None:
    response = post_source(client, source)

    assert (response.status_code // 100, response.json()["code"]) == (4, code)
    assert jobs.every() == []


def test_more_than_a_batch_takes_is_refused_whole(
    client: TestClient, jobs: FakeJobRepository, bucket: FakeObjectSource
) -> None:
    bucket.objects |= {("archive", f"talks/{number}.wav"): b"" for number in range(MAX_ITEMS)}

    response = post_source(client, {"url": URL})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_input")
    assert jobs.every() == []


def test_one_that_is_too_large_fails_alone(client: TestClient, bucket: FakeObjectSource) -> None:
    bucket.objects["archive", "talks/b.flac"] = bytes(4_000_001)

    batch = post_source(client, {"url": URL, "patterns": ["*.wav", "*.flac"]}).json()

    assert [item["status"] for item in batch["items"]] == ["queued", "failed"]
    assert batch["items"][1]["error"]["code"] == "input_too_large"
    assert batch["items"][1]["name"] == "b.flac"


def test_items_beside_a_source_are_refused(client: TestClient) -> None:
    response = post_source(client, {"url": URL}, items=[{"input": {"url": "https://example.com/1.ogg"}}])

    assert (response.status_code, response.json()["code"]) == (422, "invalid_options")


def test_a_request_sent_again_makes_no_second_batch_though_more_has_come(
    client: TestClient, jobs: FakeJobRepository, bucket: FakeObjectSource
) -> None:
    first = post_source(client, {"url": URL}, key="nightly")
    bucket.objects["archive", "talks/c.wav"] = b"sound"

    again = post_source(client, {"url": URL}, key="nightly")
    other = post_source(client, {"url": URL, "patterns": ["*.wav"]}, key="nightly")

    assert again.text == first.text
    assert len(jobs.every()) == 3
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_a_single_jobs_url_is_never_a_bucket(client: TestClient) -> None:
    response = client.post("/api/v1/jobs", json={"input": {"url": f"{URL}a.wav"}})

    assert (response.status_code, response.json()["code"]) == (422, "forbidden_url")

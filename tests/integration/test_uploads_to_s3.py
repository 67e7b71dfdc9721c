"""A recording in parts, from the client straight to a real S3 server, and the job that is made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.main import create_app
from core.backend import open_backend, prepare_backend
from core.jobs import JobStatus
from core.settings import Settings
from core.storage_s3 import S3ObjectStore
from tests.servers import S3Account
from tests.unit.api.recordings import wav

DATA = wav(280.0, channels=2)  # 17.9 MB: two parts


@pytest.fixture
def settings(tmp_path: Path, s3_account: S3Account) -> Settings:
    return Settings(
        data_dir=tmp_path,
        s3_endpoint=s3_account.endpoint,
        s3_bucket=f"limpid-test-{uuid4().hex}",
        s3_access_key=SecretStr(s3_account.access_key),
        s3_secret_key=SecretStr(s3_account.secret_key),
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    prepare_backend(settings)
    backend = open_backend(settings)
    yield TestClient(create_app(settings, backend))
    backend.jobs.close()
    assert isinstance(backend.store, S3ObjectStore)
    backend.store._client.delete_bucket(Bucket=settings.s3_bucket)  # the test has emptied it


def begin(client: TestClient) -> Any:  # noqa: ANN401 - JSON
    response = client.post(
        "/api/v1/uploads",
        json={"name": "talk.wav", "bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()},
    )
    assert response.status_code == 201
    return response.json()


def send(part: dict[str, Any]) -> int:
    """As a client does: without an API key, to the store itself."""
    return httpx.put(part["url"], content=DATA[part["offset_bytes"] :][: part["bytes"]]).status_code


def test_parts_go_straight_to_the_store_and_become_a_job(client: TestClient, settings: Settings) -> None:
    upload = begin(client)
    second, first = reversed(upload["parts"])

    assert send(second) == 200
    assert [part["is_received"] for part in client.get(upload["links"]["self"]).json()["parts"]] == [False, True]
    assert client.post(upload["links"]["complete"]).status_code == 409
    assert send(first) == 200
    assert client.post(upload["links"]["complete"]).json()["status"] == "complete"
    job = client.post("/api/v1/jobs", json={"input": {"upload_id": upload["id"]}, "preset": "clean-only"}).json()

    assert (job["id"], job["status"]) == (upload["id"], JobStatus.QUEUED)
    assert job["input"]["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert job["input"]["duration_s"] == pytest.approx(280.0)
    backend = open_backend(settings)
    with backend.store.open_reader(backend.jobs.get(job["id"]).input.key) as stored:
        assert stored.read() == DATA
    assert client.delete(f"/api/v1/jobs/{job['id']}").status_code == 204
    assert backend.store.delete_prefix("jobs/") == 0
    backend.jobs.close()


def test_aborted_upload_leaves_no_parts(client: TestClient, settings: Settings) -> None:
    upload = begin(client)
    assert send(upload["parts"][0]) == 200

    assert client.delete(upload["links"]["self"]).status_code == 204

    assert send(upload["parts"][1]) == 404
    store = open_backend(settings).store
    assert isinstance(store, S3ObjectStore)
    assert not store._client.list_multipart_uploads(Bucket=settings.s3_bucket).get("Uploads")

"""Batches over REST on a real S3 server: of a form, and of a prefix of somebody's bucket; done, listed and fetched."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.main import create_app
from core.backend import open_backend, prepare_backend
from core.settings import Settings
from core.sources.location import parse_sources
from core.storage_s3 import S3ObjectStore
from tests.servers import S3Account
from tests.unit.api.recordings import wav
from worker.shutdown import ShutdownFlag
from worker.tasks import ProcessContext

BATCHES = "/api/v1/batches"
TALKS = {"talks/1.wav": wav(0.5), "talks/2026/Gespräch #2.wav": wav(0.7)}
OTHERS = {"talks/": b"", "talks/notes.txt": b"words, not sound", "private/secret.wav": wav(0.5)}


@pytest.fixture
def settings(tmp_path: Path, s3_account: S3Account) -> Settings:
    archive = f"limpid-archive-{uuid4().hex}"
    return Settings(
        data_dir=tmp_path,
        s3_endpoint=s3_account.endpoint,
        s3_bucket=f"limpid-test-{uuid4().hex}",
        s3_access_key=SecretStr(s3_account.access_key),
        s3_secret_key=SecretStr(s3_account.secret_key),
        batch_sources=parse_sources([f"s3://{archive}/talks/"]),
    )


@pytest.fixture
def archive(settings: Settings) -> Iterator[str]:
    """The URL of a bucket that is not Limpid's."""
    bucket = settings.batch_sources[0].bucket
    client = S3ObjectStore(
        bucket,
        endpoint=settings.s3_endpoint or "",
        access_key=settings.s3_access_key and settings.s3_access_key.get_secret_value(),
        secret_key=settings.s3_secret_key and settings.s3_secret_key.get_secret_value(),
    )._client
    client.create_bucket(Bucket=bucket)
    for key, data in (TALKS | OTHERS).items():
        client.put_object(Bucket=bucket, Key=key, Body=data)
    yield f"s3://{bucket}/"
    for key in TALKS | OTHERS:
        client.delete_object(Bucket=bucket, Key=key)
    client.delete_bucket(Bucket=bucket)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    prepare_backend(settings)
    backend = open_backend(settings)
    yield TestClient(create_app(settings, backend))
    backend.store.delete_prefix("jobs/")
    backend.jobs.close()
    assert isinstance(backend.store, S3ObjectStore)
    backend.store._client.delete_bucket(Bucket=settings.s3_bucket)


def run_all(settings: Settings, batch: dict[str, Any]) -> None:
    """Run the batch's jobs as a worker does, in this process."""
    context = ProcessContext(settings, ShutdownFlag())
    for item in batch["items"]:
        if item["job_id"] is not None:
            context.runner.run(item["job_id"])
    context.backend.close()


def fetch_archive(client: TestClient, batch: dict[str, Any]) -> zipfile.ZipFile:
    response = client.get(f"{BATCHES}/{batch['id']}/archive.zip")
    assert response.status_code == 200, response.text
    return zipfile.ZipFile(io.BytesIO(response.content))


def test_a_batch_of_a_form_is_told_honestly_and_fetched_whole(client: TestClient, settings: Settings) -> None:
    files = [("file", ("1.wav", wav(0.5))), ("file", ("notes.txt", b"words, not sound" * 99))]
    batch = client.post(BATCHES, files=files, data={"preset": "clean-only"}).json()

    run_all(settings, batch)

    ended = client.get(f"{BATCHES}/{batch['id']}").json()
    assert (ended["status"], ended["counts"]["succeeded"], ended["counts"]["failed"]) == ("partially_succeeded", 1, 1)
    manifest = client.get(f"{BATCHES}/{batch['id']}/manifest").json()
    stored = {file["path"]: file["sha256"] for item in manifest["items"] for file in item["files"]}
    with fetch_archive(client, batch) as archive:
        fetched = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert fetched.keys() - stored.keys() == {"manifest.json"}
    assert stored.items() <= fetched.items()
    href = manifest["items"][0]["files"][0]["href"]
    assert client.get(href, follow_redirects=False).status_code == 307


def test_a_batch_of_a_prefix_takes_what_is_meant_and_nothing_else(
    client: TestClient, settings: Settings, archive: str
) -> None:
    response = client.post(
        BATCHES, json={"preset": "clean-only", "source": {"url": f"{archive}talks/", "patterns": ["*.wav"]}}
    )
    assert response.status_code == 202, response.text
    batch = response.json()

    run_all(settings, batch)

    manifest = client.get(f"{BATCHES}/{batch['id']}/manifest").json()
    assert manifest["status"] == "succeeded"
    assert {item["input"]["sha256"] for item in manifest["items"]} == {
        hashlib.sha256(data).hexdigest() for data in TALKS.values()
    }
    assert [item["input"]["name"] for item in manifest["items"]] == ["1.wav", "Gespräch #2.wav"]


def test_prefixes_that_are_not_allowed_or_not_there_are_refused(client: TestClient, archive: str) -> None:
    def code_of(url: str) -> str:
        return str(client.post(BATCHES, json={"preset": "clean-only", "source": {"url": url}}).json()["code"])

    assert code_of(f"{archive}private/") == "forbidden_url"
    assert code_of(archive) == "forbidden_url"
    assert code_of(f"{archive}talks/none/") == "invalid_input"


def test_a_bucket_that_is_not_there_is_refused(client: TestClient) -> None:
    settings: Settings = client.app.state.settings  # type: ignore[attr-defined]

    response = client.post(BATCHES, json={"source": {"url": settings.batch_sources[0].url}})

    assert (response.status_code, response.json()["code"]) == (422, "fetch_failed")

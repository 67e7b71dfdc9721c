"""What a batch tells of itself while it runs and afterwards: state, cancel, manifest, archive."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from core.backend import Backend
from core.settings import Settings
from tests.access_fakes import FakeKeyRepository
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.batch_requests import (
    BATCHES,
    FILES,
    JOBS,
    TEXT,
    get,
    job_ids,
    post_files,
    submitted,
    succeed,
)
from tests.unit.api.jobs_on_record import START, advance, fail, finish, start
from tests.unit.api.recordings import wav
from tests.unit.api.test_auth import key_of


@pytest.fixture
def server(settings: Settings, backend: Backend) -> TestClient:
    """A server that asks for keys."""
    return TestClient(create_app(settings.model_copy(update={"auth": "on"}), backend), raise_server_exceptions=False)


class TestFollow:
    def test_batch_tells_of_its_jobs(self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore) -> None:
        batch = submitted(client, *[(name, wav(1.0)) for name, _ in FILES])
        first, second, third = job_ids(batch)
        succeed(jobs, store, first)
        advance(jobs, start(jobs, second), fraction=0.5)

        response = client.get(batch["links"]["self"])

        told = response.json()
        assert "Retry-After" in response.headers
        assert told["status"] == "running"
        assert told["progress"] == {"fraction": pytest.approx(0.5), "ended": 1, "total": 3}
        assert told["counts"] == {
            "queued": 1,
            "running": 1,
            "cancelling": 0,
            "succeeded": 1,
            "failed": 0,
            "cancelled": 0,
        }
        assert [item["fraction"] for item in told["items"]] == [1.0, 0.5, 0.0]
        assert told["items"][2]["href"] == f"{JOBS}/{third}"

    @pytest.mark.parametrize(
        ("outcomes", "status"), [("ss", "succeeded"), ("sf", "partially_succeeded"), ("ff", "failed")]
    )
    def test_status_says_how_much_succeeded(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore, outcomes: str, status: str
    ) -> None:
        batch = submitted(client, *FILES[:2])
        for job_id, outcome in zip(job_ids(batch), outcomes, strict=True):
            if outcome == "s":
                succeed(jobs, store, job_id)
            else:
                fail(jobs, start(jobs, job_id), code="invalid_audio")

        response = client.get(batch["links"]["self"])

        assert response.json()["status"] == status
        assert "Retry-After" not in response.headers
        assert response.json()["links"]["archive"] == f"{BATCHES}/{batch['id']}/archive.zip"

    def test_jobs_name_their_batch_and_are_listed_by_it(self, client: TestClient) -> None:
        batch, other = submitted(client), submitted(client)

        listed = client.get(batch["links"]["jobs"]).json()["jobs"]

        assert [job["id"] for job in reversed(listed)] == job_ids(batch)
        assert {job["batch_id"] for job in listed} == {batch["id"]}
        assert client.get(JOBS, params={"batch": other["id"], "limit": 2}).json()["next_cursor"]

    def test_deleted_job_stays_in_its_batch_without_its_name(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        batch = submitted(client, *FILES[:1])
        succeed(jobs, store, job_ids(batch)[0])
        client.delete(f"{JOBS}/{job_ids(batch)[0]}")

        (item,) = get(client, batch)["items"]

        assert (item["name"], item["is_deleted"], item["status"]) == ("", True, "succeeded")

    @pytest.mark.parametrize("batch_id", ["0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "x", "..", "%00"])
    @pytest.mark.parametrize("what", ["", "/manifest", "/archive.zip"])
    def test_unknown_batch_is_not_found(self, client: TestClient, batch_id: str, what: str) -> None:
        assert client.get(f"{BATCHES}/{batch_id}{what}").status_code == 404

    def test_batch_is_its_keys_own(self, server: TestClient, keys: FakeKeyRepository) -> None:
        mine, others = key_of(keys), key_of(keys)
        batch = post_files(server, *FILES, headers=mine).json()
        href = batch["links"]["self"]

        assert server.get(href, headers=mine).status_code == 200
        for path in (href, f"{href}/manifest", f"{href}/archive.zip"):
            assert server.get(path, headers=others).status_code == 404
        assert server.post(f"{href}/cancel", headers=others).status_code == 404
        assert server.get(href).status_code == 401
        assert server.get(JOBS, params={"batch": batch["id"]}, headers=others).json()["jobs"] == []


class TestCancel:
    def test_everything_that_has_not_ended_is_cancelled(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        batch = submitted(client)
        done, running, _ = job_ids(batch)
        succeed(jobs, store, done)
        start(jobs, running)

        response = client.post(batch["links"]["cancel"])

        assert response.status_code == 200
        assert [item["status"] for item in response.json()["items"]] == ["succeeded", "cancelling", "cancelled"]
        assert response.json()["status"] == "running"

    def test_batch_that_never_ran_is_cancelled_at_once(self, client: TestClient) -> None:
        batch = submitted(client)

        assert client.post(batch["links"]["cancel"]).json()["status"] == "cancelled"
        assert client.post(batch["links"]["cancel"]).status_code == 409


class TestFiles:
    @pytest.fixture
    def batch(self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore) -> dict[str, Any]:
        """Two that succeeded, with results of the same name, and one that failed."""
        batch = submitted(client, ("talk.wav", wav(1.0)), TEXT, ("talk.mp3", wav(2.0)))
        first, _, second = job_ids(batch)
        succeed(jobs, store, first, {"talk.enhanced.wav": b"first", "manifest.json": b"not ours"})
        succeed(jobs, store, second, {"Talk.enhanced.wav": b"second"})
        return batch

    def test_manifest_names_everything_with_its_hash(self, client: TestClient, batch: dict[str, Any]) -> None:
        manifest = client.get(batch["links"]["manifest"]).json()

        assert (manifest["batch_id"], manifest["status"]) == (batch["id"], "partially_succeeded")
        first, refused, second = manifest["items"]
        assert first["input"] == {
            "name": "talk.wav",
            "bytes": len(wav(1.0)),
            "sha256": hashlib.sha256(wav(1.0)).hexdigest(),
        }
        assert [file["path"] for file in first["files"]] == ["talk.enhanced.wav", "manifest-2.json"]
        (file,) = second["files"]
        assert (file["path"], file["name"]) == ("Talk.enhanced-2.wav", "Talk.enhanced.wav")
        assert (file["bytes"], file["sha256"]) == (6, hashlib.sha256(b"second").hexdigest())
        assert client.get(file["href"]).content == b"second"
        assert (refused["files"], refused["error"]["code"]) == ([], "unsupported_media")

    def test_archive_holds_what_the_manifest_says(self, client: TestClient, batch: dict[str, Any]) -> None:
        response = client.get(f"{batch['links']['self']}/archive.zip")

        archive = zipfile.ZipFile(io.BytesIO(response.content))
        manifest = json.loads(archive.read("manifest.json"))
        told = {file["path"]: file["sha256"] for item in manifest["items"] for file in item["files"]}
        assert response.headers["Content-Type"] == "application/zip"
        assert f'filename="batch-{batch["id"]}.zip"' in response.headers["Content-Disposition"]
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"manifest.json", *told}
        assert {path: hashlib.sha256(archive.read(path)).hexdigest() for path in told} == told
        assert manifest == client.get(batch["links"]["manifest"]).json()

    def test_archive_waits_for_the_end(self, client: TestClient) -> None:
        batch = submitted(client)

        response = client.get(f"{batch['links']['self']}/archive.zip")

        assert batch["links"]["archive"] is None
        assert (response.status_code, response.json()["code"]) == (409, "conflict")

    def test_archive_says_when_files_have_expired(
        self, client: TestClient, jobs: FakeJobRepository, store: FakeObjectStore
    ) -> None:
        batch = submitted(client, *FILES[:2])
        first, second = job_ids(batch)
        succeed(jobs, store, first)
        finish(jobs, store, start(jobs, second), {"a.wav": b"a"}, expires_at=START)

        response = client.get(f"{batch['links']['self']}/archive.zip")

        assert (response.status_code, response.json()["code"]) == (410, "expired")
        assert "1 of 2" in response.json()["detail"]

    def test_silent_store_is_told_before_the_archive_begins(
        self, client: TestClient, batch: dict[str, Any], store: FakeObjectStore
    ) -> None:
        store.is_down = True

        assert client.get(f"{batch['links']['self']}/archive.zip").status_code == 503

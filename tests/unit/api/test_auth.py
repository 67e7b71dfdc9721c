"""API keys over HTTP: who gets in, what a key allows, and whose jobs it sees."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from core.access.keys import Scope, create_key
from core.backend import Backend
from core.settings import Settings
from tests.access_fakes import FakeKeyRepository
from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import add_queued, add_succeeded
from tests.unit.api.recordings import wav

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
JOBS = "/api/v1/jobs"


@pytest.fixture
def server(settings: Settings, backend: Backend) -> TestClient:
    """A server that asks for keys."""
    app = create_app(settings.model_copy(update={"auth": "on"}), backend)
    return TestClient(app, raise_server_exceptions=False)


def key_of(keys: FakeKeyRepository, *scopes: Scope) -> dict[str, str]:
    """The header of a new key."""
    _, token = create_key("test", scopes or (Scope.SUBMIT, Scope.READ), keys=keys, now=NOW)
    return {"Authorization": f"Bearer {token}"}


def submit(server: TestClient, headers: dict[str, str]) -> str:
    response = server.post(
        JOBS, content=wav(), headers={**headers, "Content-Type": "audio/wav"}, params={"preset": "clean-only"}
    )
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer lmp_wrong"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", JOBS), ("GET", JOBS), ("POST", "/api/enhance"), ("GET", f"{JOBS}/{'0' * 8}")]
)
def test_without_a_valid_key_nothing_is_told(
    server: TestClient, headers: dict[str, str], method: str, path: str
) -> None:
    response = server.request(method, path, headers=headers)

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_revoked_key_is_refused_from_the_next_request_on(server: TestClient, keys: FakeKeyRepository) -> None:
    headers = key_of(keys)
    assert server.get(JOBS, headers=headers).status_code == 200

    keys.revoke(keys.list()[0].id, now=NOW)

    assert server.get(JOBS, headers=headers).status_code == 401


def test_refused_upload_is_not_read(server: TestClient, store: FakeObjectStore) -> None:
    response = server.post(JOBS, content=wav(), headers={"Content-Type": "audio/wav"})

    assert response.status_code == 401
    assert store.objects == {}


def test_scope_is_needed(server: TestClient, keys: FakeKeyRepository) -> None:
    reader, submitter = key_of(keys, Scope.READ), key_of(keys, Scope.SUBMIT)

    assert server.get(JOBS, headers=reader).status_code == 200
    refused = server.post(JOBS, content=wav(), headers={**reader, "Content-Type": "audio/wav"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    job_id = submit(server, submitter)
    assert server.get(f"{JOBS}/{job_id}", headers=submitter).status_code == 403
    assert server.post(f"{JOBS}/{job_id}/cancel", headers=submitter).status_code == 200


def test_job_is_the_keys_that_submitted_it(
    server: TestClient, keys: FakeKeyRepository, jobs: FakeJobRepository
) -> None:
    mine, theirs = key_of(keys), key_of(keys)

    job_id = submit(server, mine)

    assert jobs.get(job_id).owner == keys.list()[0].id
    assert [job["id"] for job in server.get(JOBS, headers=mine).json()["jobs"]] == [job_id]
    assert server.get(JOBS, headers=theirs).json()["jobs"] == []


def test_job_of_another_key_does_not_exist(
    server: TestClient, keys: FakeKeyRepository, jobs: FakeJobRepository, store: FakeObjectStore
) -> None:
    job, waiting = add_succeeded(jobs, store, {"a.wav": b"sound"}), add_queued(jobs)
    stranger, admin = key_of(keys), key_of(keys, Scope.ADMIN)
    paths = [
        ("GET", f"{JOBS}/{job.id}"),
        ("GET", f"{JOBS}/{job.id}/outputs/a.wav"),
        ("POST", f"{JOBS}/{waiting.id}/cancel"),
        ("DELETE", f"{JOBS}/{job.id}"),
    ]

    for method, path in paths:
        assert server.request(method, path, headers=stranger).status_code == 404, path
    for method, path in paths:
        assert server.request(method, path, headers=admin).status_code in (200, 204), path


def test_deleted_job_of_another_key_does_not_exist_either(server: TestClient, keys: FakeKeyRepository) -> None:
    mine, stranger = key_of(keys), key_of(keys)
    job_id = submit(server, mine)
    server.delete(f"{JOBS}/{job_id}", headers=mine)

    assert server.get(f"{JOBS}/{job_id}", headers=mine).status_code == 410
    assert server.get(f"{JOBS}/{job_id}", headers=stranger).status_code == 404


def test_health_and_catalogue_need_no_key(server: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/api/health", "/api/v1/presets", "/api/v1/models", "/openapi.json"):
        assert server.get(path).status_code == 200, path


def test_recording_of_an_earlier_job_is_its_owners_alone(server: TestClient, keys: FakeKeyRepository) -> None:
    mine, theirs = key_of(keys), key_of(keys)
    again = {"input": {"job_id": submit(server, mine)}, "preset": "clean-only"}

    assert server.post(JOBS, json=again, headers=mine).status_code == 202
    assert server.post(JOBS, json=again, headers=theirs).status_code == 404


def test_with_authentication_off_a_key_changes_nothing(client: TestClient) -> None:
    assert client.get(JOBS, headers={"Authorization": "Bearer lmp_wrong"}).status_code == 200

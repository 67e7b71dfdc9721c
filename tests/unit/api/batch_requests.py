"""How tests submit batches over HTTP, and look at them."""

from __future__ import annotations

import json
from typing import Any

from fastapi.testclient import TestClient

from tests.fakes import FakeJobRepository, FakeObjectStore
from tests.unit.api.jobs_on_record import finish, start
from tests.unit.api.recordings import wav

BATCHES = "/api/v1/batches"
JOBS = "/api/v1/jobs"
FILES = [(f"talk-{number}.wav", wav(0.5 + number)) for number in range(3)]
TEXT = ("notes.txt", b"words, not sound. " * 50)


def post_files(
    client: TestClient,
    *files: tuple[str, bytes],
    headers: dict[str, str] | None = None,
    **options: Any,  # noqa: ANN401 - JSON
) -> Any:  # noqa: ANN401 - a response
    data = {"preset": "clean-only", "options": json.dumps(options)}
    return client.post(BATCHES, files=[("file", file) for file in files], data=data, headers=headers)


def post_items(client: TestClient, *items: dict[str, Any], **more: Any) -> Any:  # noqa: ANN401
    return client.post(BATCHES, json={"preset": "clean-only", "items": list(items), **more})


def url_item(number: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"input": {"url": f"https://example.com/{number}.ogg"}, **more}


def submitted(client: TestClient, *files: tuple[str, bytes], **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """A batch of these files, or of FILES."""
    response = post_files(client, *(files or FILES), **options)
    assert response.status_code == 202, response.text
    told: dict[str, Any] = response.json()
    return told


def get(client: TestClient, batch: dict[str, Any]) -> dict[str, Any]:
    response = client.get(batch["links"]["self"])
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


def job_ids(batch: dict[str, Any]) -> list[str]:
    return [item["job_id"] for item in batch["items"]]


def succeed(
    jobs: FakeJobRepository, store: FakeObjectStore, job_id: str, files: dict[str, bytes] | None = None
) -> None:
    finish(jobs, store, start(jobs, job_id), files or {f"{job_id}.wav": job_id.encode()})

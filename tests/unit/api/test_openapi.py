"""The OpenAPI document says what the application does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api.main import create_app
from core.settings import Settings

METHODS = frozenset({"get", "post", "put", "patch", "delete"})


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return create_app(Settings(data_dir=tmp_path_factory.mktemp("data"))).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield f"{method.upper()} {path}", operation


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_surface_is_complete(document: dict[str, Any]) -> None:
    assert {name for name, _ in operations(document)} == {
        "POST /api/v1/jobs",
        "GET /api/v1/jobs",
        "GET /api/v1/jobs/{job_id}",
        "DELETE /api/v1/jobs/{job_id}",
        "POST /api/v1/jobs/{job_id}/cancel",
        "GET /api/v1/jobs/{job_id}/events",
        "GET /api/v1/jobs/{job_id}/outputs/{name}",
        "GET /api/v1/jobs/{job_id}/input",
        "POST /api/v1/batches",
        "GET /api/v1/batches/{batch_id}",
        "POST /api/v1/batches/{batch_id}/cancel",
        "GET /api/v1/batches/{batch_id}/manifest",
        "GET /api/v1/batches/{batch_id}/archive.zip",
        "GET /api/v1/webhooks/deliveries",
        "GET /api/v1/webhooks/deliveries/{delivery_id}",
        "POST /api/v1/webhooks/deliveries/{delivery_id}/replay",
        "POST /api/v1/webhooks/test",
        "POST /api/v1/uploads",
        "GET /api/v1/uploads/{upload_id}",
        "DELETE /api/v1/uploads/{upload_id}",
        "PUT /api/v1/uploads/{upload_id}/parts/{number}",
        "POST /api/v1/uploads/{upload_id}/complete",
        "GET /api/v1/presets",
        "GET /api/v1/models",
        "POST /api/v1/estimate",
        "POST /api/enhance",
        "GET /api/health",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
    }


def test_every_operation_has_a_summary_a_tag_and_an_id_of_its_own(document: dict[str, Any]) -> None:
    found = list(operations(document))

    assert all(operation["summary"] and operation["tags"] for _, operation in found)
    assert len({operation["operationId"] for _, operation in found}) == len(found)


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if status == "default" or (int(status) >= 400 and name != "GET /readyz"):
                assert list(response["content"]) == ["application/problem+json"], (name, status)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))

    assert "#/components/schemas/ProblemView" in found
    for reference in found:
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][kind]


def test_events_are_described_with_their_signature(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == {"job.succeeded", "job.failed", "job.cancelled", "batch.completed"}
    for event in document["webhooks"].values():
        headers = {parameter["name"]: parameter["required"] for parameter in event["post"]["parameters"]}

        assert headers == {"webhook-id": True, "webhook-timestamp": True, "webhook-signature": True}


def test_upload_is_described_as_form_raw_body_and_reference(document: dict[str, Any]) -> None:
    for path in ("/api/v1/jobs", "/api/enhance"):
        content = document["paths"][path]["post"]["requestBody"]["content"]

        assert set(content) == {"multipart/form-data", "audio/*", "application/octet-stream", "application/json"}
        assert "input" in content["application/json"]["schema"]["required"]
        assert content["multipart/form-data"]["schema"]["required"] == ["file"]

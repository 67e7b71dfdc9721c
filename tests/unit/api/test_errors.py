"""Every error is a problem, and no problem tells a secret."""

from __future__ import annotations

import logging
from typing import Never

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.errors import status_of_code
from core import errors
from core.errors import EnhancerError

SECRET = "postgresql://user:hunter2@db/limpid"


@pytest.fixture
def raising(app: FastAPI, client: TestClient) -> dict[str, Exception]:
    """Set ["error"], then GET /raise."""
    box: dict[str, Exception] = {}

    @app.get("/raise", response_model=None)
    def raise_it() -> Never:
        raise box["error"]

    return box


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInput("x"), 400),
        (errors.InvalidAudio("x"), 422),
        (errors.UnsupportedMedia("x"), 415),
        (errors.InputTooLarge("x"), 413),
        (errors.InvalidOptions("x"), 422),
        (errors.UnknownPreset("x"), 422),
        (errors.NotFound("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.ModelUnavailable("x"), 409),
        (errors.InsufficientDisk("x"), 507),
        (errors.StorageError("x"), 503),
        (errors.QueueError("x"), 503),
        (errors.JobCancelled("x"), 500),
    ],
)
def test_domain_error_becomes_a_problem(
    client: TestClient, raising: dict[str, Exception], error: EnhancerError, status: int
) -> None:
    raising["error"] = error

    response = client.get("/raise")

    assert response.status_code == status == status_of_code(error.code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": f"urn:limpid:problem:{error.code}",
        "title": error.title,
        "status": status,
        "detail": "x",
        "instance": "/raise",
        "code": error.code,
        "errors": [],
    }
    assert ("Retry-After" in response.headers) == (status == 503)


def test_unexpected_error_is_logged_and_not_told(
    client: TestClient, raising: dict[str, Exception], caplog: pytest.LogCaptureFixture
) -> None:
    raising["error"] = RuntimeError(SECRET)

    with caplog.at_level(logging.ERROR, logger="api.errors"):
        response = client.get("/raise", headers={"X-Request-Id": "abc-1"})

    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "hunter2" not in response.text
    assert response.headers["X-Request-Id"] == "abc-1"
    (record,) = [record for record in caplog.records if record.name == "api.errors"]
    assert record.__dict__["request_id"] == "abc-1"
    assert record.exc_info is not None
    assert SECRET in str(record.exc_info[1])


def test_unknown_path_is_a_problem(client: TestClient) -> None:
    response = client.get("/api/v1/nothing")

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/api/v1/presets", "GET"), ("/api/v1/jobs", "GET, POST"), ("/api/v1/jobs/1/outputs/a", "GET, HEAD")],
)
def test_wrong_method_is_a_problem_that_names_the_right_ones(client: TestClient, path: str, allowed: str) -> None:
    response = client.put(path)

    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert response.headers["Allow"] == allowed


def test_code_that_no_error_has_is_an_internal_one() -> None:
    assert status_of_code("worker_lost") == 500


class TestRequestId:
    def test_is_echoed(self, client: TestClient) -> None:
        assert client.get("/healthz", headers={"X-Request-Id": "a1"}).headers["X-Request-Id"] == "a1"

    @pytest.mark.parametrize("given", ["", "has space", "x" * 129, "ü".encode().decode("latin-1")])
    def test_is_made_when_missing_or_unfit(self, client: TestClient, given: str) -> None:
        made = client.get("/healthz", headers={b"X-Request-Id": given.encode("latin-1")}).headers["X-Request-Id"]

        assert made != given
        assert len(made) == 32

    def test_is_on_error_responses_too(self, client: TestClient) -> None:
        response = client.get("/nothing", headers={"X-Request-Id": "a1"})

        assert response.headers.get_list("X-Request-Id") == ["a1"]

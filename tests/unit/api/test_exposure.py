"""A server without authentication stays on this machine and does nothing for other sites' pages."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.exposure import LoopbackNameMiddleware, check_exposure, is_loopback
from api.main import create_app
from core.backend import Backend
from core.errors import InsecureExposure
from core.ids import new_id
from core.settings import Settings

CANCEL = f"/api/v1/jobs/{new_id()}/cancel"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_is_recognized(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "localhost.example.org", "", "127.1.x"]
)
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_without_authentication_only_loopback_is_listened_on(settings: Settings) -> None:
    check_exposure(settings, "127.0.0.1")
    with pytest.raises(InsecureExposure, match=r"0\.0\.0\.0.*LIMPID_AUTH=on.*LIMPID_ALLOW_INSECURE"):
        check_exposure(settings, "0.0.0.0")


@pytest.mark.parametrize("changes", [{"auth": "on"}, {"allow_insecure": True}])
def test_operator_can_open_the_server(settings: Settings, changes: dict[str, object]) -> None:
    check_exposure(settings.model_copy(update=changes), "0.0.0.0")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://testserver:3000"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://testserver:3000"},
        {"Origin": "null"},
    ],
)
def test_another_sites_page_changes_nothing(client: TestClient, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/api/v1/jobs"), ("POST", CANCEL), ("DELETE", CANCEL.removesuffix("/cancel"))):
        response = client.request(method, path, headers=headers)

        assert (response.status_code, response.json()["code"]) == (403, "cross_site")
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://testserver"},
    ],
)
def test_own_page_and_other_programs_are_served(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post(CANCEL, headers=headers).status_code == 404


def test_reading_needs_no_origin(client: TestClient) -> None:
    assert client.get("/api/v1/jobs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_with_keys_the_origin_does_not_matter(settings: Settings, backend: Backend) -> None:
    client = TestClient(create_app(settings.model_copy(update={"auth": "on"}), backend))

    assert client.post(CANCEL, headers={"Origin": "https://studio.example"}).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("rebound.example:8000", 403),
        ("192.168.1.7", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_only_names_of_loopback_are_answered(app: FastAPI, host: str, status: int) -> None:
    app.add_middleware(LoopbackNameMiddleware)
    client = TestClient(app, raise_server_exceptions=False)

    assert client.get("/healthz", headers={"Host": host}).status_code == status

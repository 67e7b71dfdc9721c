"""The page and its files, and what browsers are told about every response."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.page import page_policy
from core.backend import Backend
from core.settings import Settings

SCRIPT = b"export const answer = 42;\n" * 100


@pytest.fixture
def web_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Limpid</title>", encoding="utf-8")
    (folder / "assets" / "index-1a2b.js").write_bytes(SCRIPT)
    (folder / "assets" / "index-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    return folder


@pytest.fixture
def settings(tmp_path: Path, web_dir: Path) -> Settings:
    return Settings(data_dir=tmp_path, web_dir=web_dir)


def test_page_may_load_and_reach_its_own_server_alone(client: TestClient) -> None:
    response = client.get("/")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in str(policy)


def test_page_may_send_uploads_to_the_object_store_that_clients_see() -> None:
    settings = Settings(s3_endpoint="http://store:9000", s3_public_endpoint="https://files.example.com/path")

    assert "connect-src 'self' https://files.example.com;" in page_policy(settings)
    assert "store:9000" not in page_policy(settings)


def test_script_is_sent_compressed_and_kept_for_ever(client: TestClient) -> None:
    response = client.get("/assets/index-1a2b.js", headers={"Accept-Encoding": "br, gzip"})

    assert response.content == SCRIPT
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "immutable" in response.headers["Cache-Control"]
    assert response.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0"])
def test_script_is_sent_as_it_is_to_who_takes_no_gzip(client: TestClient, accepted: str) -> None:
    response = client.get("/assets/index-1a2b.js", headers={"Accept-Encoding": accepted})

    assert response.content == SCRIPT
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("path", ["missing.js", "../index.html", "%2e%2e/index.html", "../../limpid.sqlite3"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    response = client.get(f"/assets/{path}")

    assert response.status_code == 404 or response.headers["Content-Type"].startswith("text/html")
    assert client.get(f"/assets/x/{path}").status_code == 404


def test_missing_page_says_how_to_build_it(tmp_path: Path, backend: Backend) -> None:
    client = TestClient(create_app(Settings(data_dir=tmp_path, web_dir=tmp_path / "nowhere"), backend))

    response = client.get("/")

    assert response.status_code == 404
    assert "make web" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/presets", "/api/v1/jobs/none", "/assets/none.js", "/"])
def test_no_response_is_sniffed_or_framed(client: TestClient, path: str) -> None:
    headers = client.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]

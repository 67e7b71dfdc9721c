"""The REST reference, whose scripts come from this server."""

from __future__ import annotations

import re

from fastapi.testclient import TestClient


def test_everything_that_the_reference_loads_is_this_servers(client: TestClient) -> None:
    page = client.get("/docs")
    loaded = re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page.text)

    assert page.status_code == 200
    assert len(loaded) == 3
    for path in loaded:
        assert path.startswith("/docs/")
        file = client.get(path)
        assert file.status_code == 200
        assert file.headers["Content-Security-Policy"] == page.headers["Content-Security-Policy"]


def test_reference_may_run_no_script_of_anybody_elses(client: TestClient) -> None:
    policy = dict(part.split(" ", 1) for part in client.get("/docs").headers["Content-Security-Policy"].split("; "))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"


def test_fastapis_own_reference_is_not_there(client: TestClient) -> None:
    assert client.get("/redoc").status_code == 404

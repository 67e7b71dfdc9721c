"""The API in a thread of the tests' own process, for what the embedded stack does not show."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from api.main import create_app
from core.backend import Backend
from core.settings import Settings
from tests.e2e.stack import wait_until


@contextmanager
def served_api(settings: Settings, backend: Backend) -> Iterator[str]:
    """The URL of an API, without workers, on a free port."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings, backend), port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, timeout_s=30, what="the API listens")
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=20)

"""Downloads that the server hands over to its object store, where the store can be reached and where it cannot."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from limpid_client.client import LimpidClient
from limpid_client.errors import ApiError
from limpid_client.records import RemoteOutput

CONTENT = b"RIFF enhanced"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HREF = "/api/v1/jobs/1/outputs/talk.wav"
STORE = "store.example.com"


class Server:
    """Redirects to a store, and sends the bytes itself when it is asked to."""

    def __init__(self, *, is_store_in_reach: bool, is_in_reach: bool = True) -> None:
        self._is_store_in_reach = is_store_in_reach
        self._is_in_reach = is_in_reach
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        is_in_reach = self._is_store_in_reach if request.url.host == STORE else self._is_in_reach
        if not is_in_reach:
            raise httpx.ConnectError("Connection refused", request=request)
        if request.url.host == STORE or request.url.params.get("redirect") == "false":
            return httpx.Response(200, content=CONTENT)
        return httpx.Response(307, headers={"Location": f"http://{STORE}/signed?X-Amz-Signature=abc"})


def download(server: Server, folder: Path) -> Path:
    output = RemoteOutput(
        name="talk.wav", role="enhanced", href="/api/v1/jobs/1/outputs/talk.wav", sha256=None, bytes=13
    )
    with LimpidClient("http://api:8000", transport=httpx.MockTransport(server)) as client:
        return client.download(output, folder)


def test_a_redirect_to_the_store_is_followed(tmp_path: Path) -> None:
    server = Server(is_store_in_reach=True)

    assert download(server, tmp_path).read_bytes() == CONTENT
    assert [httpx.URL(url).host for url in server.asked] == ["api", STORE]


def test_a_store_out_of_reach_is_passed_by_through_the_server(tmp_path: Path) -> None:
    server = Server(is_store_in_reach=False)

    assert download(server, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == "http://api:8000/api/v1/jobs/1/outputs/talk.wav?redirect=false"


def test_a_server_out_of_reach_is_asked_once(tmp_path: Path) -> None:
    server = Server(is_store_in_reach=True, is_in_reach=False)

    with pytest.raises(ApiError, match="http://api:8000 does not answer"):
        download(server, tmp_path)

    assert len(server.asked) == 1
    assert not list(tmp_path.iterdir())

"""HTTP between client and server: tried again where that is safe, and every failure an ApiError."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from limpid_client.errors import ApiError

logger = logging.getLogger(__name__)

TIMEOUT_S = 30.0
BLOCK_BYTES = 256 * 1024
ATTEMPTS = 5
FIRST_RETRY_DELAY_S = 0.5

_UNAVAILABLE = frozenset({502, 503, 504})

BytesCallback = Callable[[int], None]
"""Called with the number of bytes that just passed."""


class Connection:
    """To one server. Not for several threads at once. `transport` and `sleep` are for tests.

    Requests that read are tried again, up to ATTEMPTS times with growing pauses, when the server does not answer.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            # httpx does not send it along when an answer redirects to another server.
            headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
            self._http = httpx.Client(base_url=base_url, headers=headers, timeout=TIMEOUT_S, transport=transport)
        except httpx.InvalidURL as error:
            raise ApiError(f"{base_url!r} is no URL: {error}.") from error
        self._sleep = sleep

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def post(self, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx.Client.post's own
        """The answer, a success; sent once."""
        with self._errors_translated():
            return checked(self._http.post(path, **request))

    def delete(self, path: str) -> None:
        """Delete what is there."""
        with self._errors_translated():
            checked(self._http.delete(path))

    def get(
        self, path: str, *, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer: a success, or 304. A parameter `wait` lengthens the time-out."""
        params = dict(params or {})
        timeout = httpx.Timeout(TIMEOUT_S, read=TIMEOUT_S + float(params.get("wait", 0.0)))
        request = self._http.build_request("GET", path, params=params, headers=dict(headers or {}), timeout=timeout)
        response = self._send(request)
        return response if response.status_code == httpx.codes.NOT_MODIFIED else checked(response)

    def fetch(
        self, href: str, path: Path, *, sha256: str | None = None, on_received: BytesCallback | None = None
    ) -> Path:
        """Stream what is at `href` to the file at `path`, which appears whole or not at all; return the path.

        ApiError when its SHA-256 is not `sha256`, where that is known.
        """
        part = path.with_name(f".{path.name}.part")
        try:
            with self._errors_translated():
                received = self._receive(href, part, on_received)
            if sha256 is not None and received != sha256:
                raise ApiError(f"{path.name} arrived damaged: its SHA-256 is not the one that the job states.")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def _receive(self, href: str, path: Path, on_received: BytesCallback | None) -> str:
        """Stream to `path`; the SHA-256. Where a redirect leads to a store out of reach, the server sends the bytes."""
        try:
            return self._stream(self._http.build_request("GET", href), path, on_received)
        except httpx.ConnectError as error:
            if self._is_own(error.request.url):
                raise
            logger.info("object_store_out_of_reach", extra={"reason": str(error)})
        return self._stream(self._http.build_request("GET", href, params={"redirect": "false"}), path, on_received)

    def _stream(self, request: httpx.Request, path: Path, on_received: BytesCallback | None) -> str:
        digest = hashlib.sha256()
        response = self._http.send(request, stream=True, follow_redirects=True)
        try:
            if response.is_error:
                response.read()
            checked(response)
            with path.open("wb") as file:
                for block in response.iter_bytes(BLOCK_BYTES):
                    file.write(block)
                    digest.update(block)
                    if on_received is not None:
                        on_received(len(block))
        finally:
            response.close()
        return digest.hexdigest()

    def _is_own(self, url: httpx.URL) -> bool:
        base = self._http.base_url
        return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)

    def _send(self, request: httpx.Request) -> httpx.Response:
        for attempt in range(ATTEMPTS - 1):
            try:
                response = self._http.send(request)
                if response.status_code not in _UNAVAILABLE:
                    return response
                logger.info("server_unavailable", extra={"status": response.status_code})
            except httpx.TransportError as error:
                logger.info("server_does_not_answer", extra={"reason": str(error)})
            self._sleep(FIRST_RETRY_DELAY_S * 2.0**attempt)
        with self._errors_translated():
            return self._http.send(request)

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            url, reason = self._http.base_url, str(error) or type(error).__name__
            raise ApiError(f"{url} does not answer ({reason}). Is the server running?") from error


def checked(response: httpx.Response) -> httpx.Response:
    """The response when it is a success; otherwise ApiError with what the problem says."""
    if response.is_success:
        return response
    try:
        problem = response.json()
        items = "; ".join(f"{item['location']}: {item['message']}" for item in problem.get("errors", ()))
        message, code = f"{problem['detail']}{f' ({items})' if items else ''}", str(problem["code"])
    except (ValueError, KeyError, TypeError, AttributeError):
        message, code = f"The server answered {response.status_code} {response.reason_phrase}.", "unknown"
    raise ApiError(message, status=response.status_code, code=code)

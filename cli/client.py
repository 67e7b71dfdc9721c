"""A client of the REST API: submit a file, follow its job, fetch what it made. Uses the public endpoints only."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Self, cast

import httpx

from cli.errors import CommandError
from core.file_names import safe_file_name

logger = logging.getLogger(__name__)

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 30.0
BLOCK_BYTES = 256 * 1024
ATTEMPTS = 5
FIRST_RETRY_DELAY_S = 0.5

_UNAVAILABLE = frozenset({502, 503, 504})

BytesCallback = Callable[[int], None]
"""Called with the number of bytes that just passed."""


class ApiError(CommandError):
    """The server refused, or did not answer (`status` None). `code` is the problem's, for programs."""

    def __init__(self, message: str, *, status: int | None = None, code: str = "no_answer") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, kw_only=True)
class RemoteOutput:
    """A file that a job made, on the server."""

    name: str
    role: str
    bytes: int
    sha256: str
    href: str


@dataclass(frozen=True, kw_only=True)
class RemoteJob:
    """A job as the server told it. `document` is all of it."""

    id: str
    status: str
    stage: str | None
    fraction: float
    eta_s: float | None
    rtf: float | None
    queue_position: int | None
    outputs: tuple[RemoteOutput, ...]
    error_detail: str | None
    document: Mapping[str, Any]
    etag: str | None = None

    @property
    def has_ended(self) -> bool:
        """True when the job will never change again."""
        return self.status in ("succeeded", "failed", "cancelled")

    @property
    def has_succeeded(self) -> bool:
        return self.status == "succeeded"

    @classmethod
    def from_response(cls, response: httpx.Response) -> RemoteJob:
        """Read a job's JSON; ApiError when the answer is none."""
        try:
            document = response.json()
            progress = document["progress"]
            error = document["error"]
            return cls(
                id=document["id"],
                status=document["status"],
                stage=document["stage"],
                fraction=progress["fraction"],
                eta_s=progress["eta_s"],
                rtf=progress["rtf"],
                queue_position=document["queue_position"],
                outputs=tuple(
                    RemoteOutput(**{name: output[name] for name in RemoteOutput.__dataclass_fields__})
                    for output in document["outputs"]
                ),
                error_detail=None if error is None else error["detail"],
                document=document,
                etag=response.headers.get("etag"),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError(f"{response.url.host} answered, but not with a job. Is it a Limpid server?") from error


class LimpidClient:
    """Speaks to one server. A context manager; not for several threads at once.

    Reading calls are tried again, up to ATTEMPTS times with growing pauses, when the server does not answer; submitting
    is not, because the job might have been accepted. `transport` and `sleep` are for tests.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(
        self,
        path: Path,
        *,
        preset: str | None = None,
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        reference: Path | None = None,
        on_sent: BytesCallback | None = None,
    ) -> RemoteJob:
        """Stream the file, and its clean `reference`, to the server; the job as accepted.

        OSError when a file cannot be read. `on_sent` hears of the recording's bytes alone.

        With an `idempotency_key` the call may be repeated: the server makes one job of all calls with the same key.
        """
        fields = {} if preset is None else {"preset": preset}
        if options:
            fields["options"] = json.dumps(options)
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        with ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            clean = None if reference is None else stack.enter_context(reference.open("rb"))
            stack.enter_context(_transport_errors_as_api_errors(self._http.base_url))
            if clean is None or reference is None:
                headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
                response = self._http.post(
                    "/api/v1/jobs",
                    params={"name": safe_file_name(path.name), **fields},
                    content=_blocks_of(file.read, on_sent),
                    headers=headers,
                )
            else:
                files = {
                    "file": (safe_file_name(path.name), cast(IO[bytes], _CountedFile(file, on_sent))),
                    "reference": (safe_file_name(reference.name), cast(IO[bytes], clean)),
                }
                response = self._http.post("/api/v1/jobs", data=fields, files=files, headers=headers)
        return RemoteJob.from_response(_checked(response))

    def get(self, job_id: str, *, known: RemoteJob | None = None, wait_s: float = 0.0) -> RemoteJob:
        """The job now; with `wait_s`, held until it ends or, given `known`, until it differs from that."""
        headers = {"If-None-Match": known.etag} if known and known.etag else {}
        response = self._get(f"/api/v1/jobs/{job_id}", params={"wait": wait_s}, headers=headers)
        if response.status_code == httpx.codes.NOT_MODIFIED and known is not None:
            return known
        return RemoteJob.from_response(_checked(response))

    def cancel(self, job_id: str) -> RemoteJob:
        """Ask the job to stop."""
        with _transport_errors_as_api_errors(self._http.base_url):
            return RemoteJob.from_response(_checked(self._http.post(f"/api/v1/jobs/{job_id}/cancel")))

    def download(
        self,
        output: RemoteOutput,
        folder: Path,
        *,
        name: str | None = None,
        on_received: BytesCallback | None = None,
    ) -> Path:
        """Fetch an output into `folder` and check its SHA-256; it appears there whole, or not at all.

        `name` replaces the server's name for it. Returns the path.
        """
        path = folder / safe_file_name(name or output.name)
        part = path.with_name(f".{path.name}.part")
        digest = hashlib.sha256()
        try:
            with (
                _transport_errors_as_api_errors(self._http.base_url),
                self._http.stream("GET", output.href, follow_redirects=True) as response,
                part.open("wb") as file,
            ):
                if response.is_error:
                    response.read()
                for block in _checked(response).iter_bytes(BLOCK_BYTES):
                    file.write(block)
                    digest.update(block)
                    if on_received is not None:
                        on_received(len(block))
            if digest.hexdigest() != output.sha256:
                raise ApiError(f"{output.name} arrived damaged: its SHA-256 is not the one that the job states.")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def _get(self, url: str, *, params: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Response:
        timeout = httpx.Timeout(TIMEOUT_S, read=TIMEOUT_S + float(params.get("wait", 0.0)))
        request = self._http.build_request("GET", url, params=dict(params), headers=dict(headers), timeout=timeout)
        for attempt in range(ATTEMPTS - 1):
            try:
                response = self._http.send(request)
                if response.status_code not in _UNAVAILABLE:
                    return response
                logger.info("server_unavailable", extra={"status": response.status_code})
            except httpx.TransportError as error:
                logger.info("server_does_not_answer", extra={"reason": str(error)})
            self._sleep(FIRST_RETRY_DELAY_S * 2.0**attempt)
        with _transport_errors_as_api_errors(self._http.base_url):
            return self._http.send(request)


class _CountedFile:
    """A file that a form is made of, block by block; `on_sent` hears of each."""

    def __init__(self, file: BinaryIO, on_sent: BytesCallback | None) -> None:
        self._file = file
        self._on_sent = on_sent

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        if self._on_sent is not None and block:
            self._on_sent(len(block))
        return block

    def fileno(self) -> int:
        """Tells httpx the length, so that the form has one."""
        return self._file.fileno()


def _blocks_of(read: Callable[[int], bytes], on_sent: BytesCallback | None) -> Iterator[bytes]:
    while block := read(BLOCK_BYTES):
        yield block
        if on_sent is not None:
            on_sent(len(block))


def _checked(response: httpx.Response) -> httpx.Response:
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


@contextmanager
def _transport_errors_as_api_errors(base_url: httpx.URL) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise ApiError(_no_answer(base_url, error)) from error


def _no_answer(base_url: httpx.URL, error: httpx.TransportError) -> str:
    return f"{base_url} does not answer ({error or type(error).__name__}). Is the server running? Give its --url."

"""Fetching a recording by URL: limits, names, and what each answer means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.errors import FetchFailed, InputTooLarge, JobCancelled, OutboundError
from core.outbound.client import OutboundClient
from core.outbound.fetch import FetchedFile, fetch_to, name_of
from tests.unit.outbound.fakes import PUBLIC, FakeNetwork, FakeResolver

URL = "http://example.com/talks/One%20talk.ogg?token=1"


def response(body: bytes = b"", *, status: str = "200 OK", **headers: str) -> bytes:
    """The bytes of an answer; `Content_Type="…"` is a header. Framed by Content-Length unless the headers frame it."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if "Transfer-Encoding" not in fields:
        fields.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def fetch(answer: bytes, write: Callable[[bytes], object] = lambda _: None, **changes: Any) -> FetchedFile:  # noqa: ANN401
    network = FakeNetwork(answer, piece_bytes=1000)
    client = OutboundClient(resolve=FakeResolver([PUBLIC]), network=network)
    arguments: dict[str, Any] = {"max_bytes": 10_000, "timeout_s": 10.0, "client": client, **changes}
    return fetch_to(URL, write, **arguments)


def test_file_arrives_in_blocks_with_its_name_and_media_type() -> None:
    body = bytes(range(256)) * 39
    blocks: list[bytes] = []

    file = fetch(response(body, Content_Type="Audio/Ogg; codecs=opus"), blocks.append)

    assert b"".join(blocks) == body
    assert max(map(len, blocks)) <= 1000
    assert file == FetchedFile(name="One talk.ogg", media_type="audio/ogg", bytes=len(body))


def test_chunked_file_arrives_whole() -> None:
    blocks: list[bytes] = []

    fetch(response(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", Transfer_Encoding="chunked"), blocks.append)

    assert b"".join(blocks) == b"abcde"


@pytest.mark.parametrize(
    ("url", "content_disposition", "name"),
    [
        ("http://h/a/b.wav?x=/y", "", "b.wav"),
        ("http://h/a/%E5%A3%B0.wav", "", "声.wav"),
        ("http://h/", "", ""),
        ("http://h", "", ""),
        ("http://h/a", 'attachment; filename="talk.flac"', "talk.flac"),
        ("http://h/a", "attachment; filename*=UTF-8''%c3%a9t%c3%a9.wav", "été.wav"),
        ("http://h/a", 'attachment; filename="été.wav"'.encode().decode("latin-1"), "été.wav"),
        ("http://h/a.wav", "inline", "a.wav"),
    ],
)
def test_name_is_the_headers_or_the_last_of_the_path(url: str, content_disposition: str, name: str) -> None:
    assert name_of(url, content_disposition) == name


def test_name_is_made_safe() -> None:
    file = fetch(response(b"x", Content_Disposition='attachment; filename="../../etc/passwd"'))

    assert file.name == "passwd"


@pytest.mark.parametrize("content_type", ["", "nonsense", "audio/<script>", "text/html\x80"])
def test_media_type_that_is_none_becomes_unknown(content_type: str) -> None:
    file = fetch(response(b"x", Content_Type=content_type))

    assert file.media_type == "application/octet-stream"


def test_stated_length_over_the_limit_is_refused_before_the_body() -> None:
    blocks: list[bytes] = []

    with pytest.raises(InputTooLarge, match="10000 bytes"):
        fetch(response(b"x" * 500, Content_Length="10001"), blocks.append)

    assert blocks == []


def test_body_that_grows_over_the_limit_is_cut_off() -> None:
    chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
    received: list[bytes] = []

    with pytest.raises(InputTooLarge):
        fetch(response(chunk * 1000, Transfer_Encoding="chunked"), received.append)

    assert 9_000 <= sum(map(len, received)) <= 10_000


def test_file_of_exactly_the_limit_is_taken() -> None:
    assert fetch(response(b"x" * 10_000)).bytes == 10_000


def test_body_that_breaks_off_is_a_passing_fault() -> None:
    with pytest.raises(OutboundError, match="breaks off"):
        fetch(response(b"x" * 500, Content_Length="1000"))


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "304 Not Modified", "307 Temporary Redirect"])
def test_redirect_fails_with_advice(status: str) -> None:
    with pytest.raises(FetchFailed, match="give the final URL"):
        fetch(response(status=status, Location="http://127.0.0.1/secret"))


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial Content", "403 Forbidden", "404 Not Found"])
def test_answer_without_the_file_fails_for_good_and_shows_nothing_of_the_body(status: str) -> None:
    body = b"" if status.startswith("204") else b"internal secret"

    with pytest.raises(FetchFailed, match=f"HTTP {status[:3]}") as fault:
        fetch(response(body, status=status))

    assert "secret" not in fault.value.detail


@pytest.mark.parametrize("status", ["408 Request Timeout", "429 Too Many Requests", "500 Error", "503 Unavailable"])
def test_busy_or_broken_server_is_a_passing_fault(status: str) -> None:
    with pytest.raises(OutboundError, match=f"HTTP {status[:3]}"):
        fetch(response(b"internal secret", status=status))


def test_compressed_body_is_refused_instead_of_inflated() -> None:
    with pytest.raises(FetchFailed, match="compresses"):
        fetch(response(b"\x1f\x8b", Content_Encoding="gzip"))


def test_what_the_writer_raises_ends_the_fetch() -> None:
    def write(_: bytes) -> None:
        raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        fetch(response(b"x" * 5000), write)

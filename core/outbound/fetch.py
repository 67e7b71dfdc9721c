"""Fetching a recording from its URL, in a stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote, urlsplit

from core.errors import FetchFailed, InputTooLarge, OutboundError
from core.file_names import safe_file_name
from core.outbound.client import OutboundClient

ANY_MEDIA_TYPE = "application/octet-stream"

_HEADERS = {"Accept": "audio/*, video/*, */*;q=0.5", "Accept-Encoding": "identity"}
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,60}", re.ASCII)
_BUSY = frozenset({408, 425, 429})  # the client errors that pass


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """What a server said of the file that it sent."""

    name: str  # safe (core.file_names)
    media_type: str  # as stated, "application/octet-stream" when it is not
    bytes: int


def fetch_to(
    url: str, write: Callable[[bytes], object], *, max_bytes: int, timeout_s: float, client: OutboundClient
) -> FetchedFile:
    """Hand the bytes at `url` to `write`, block by block; nothing is held. What `write` raises ends it.

    InputTooLarge as soon as the length, stated or counted, is over `max_bytes`. FetchFailed when the server answers
    with anything but the file (a redirect too: give the URL that it leads to). OutboundError when the server is busy,
    broken, silent, or not done after `timeout_s`: a later call may succeed. ForbiddenUrl as core.outbound.client says.
    """
    with client.request("GET", url, headers=_HEADERS, timeout_s=timeout_s) as response:
        _check_status(response.status)
        _check_headers(response.headers, max_bytes=max_bytes)
        received = 0
        for block in response.blocks:
            received += len(block)
            if received > max_bytes:
                raise _too_large(max_bytes)
            write(block)
    return FetchedFile(
        name=safe_file_name(name_of(url, response.headers.get("content-disposition", ""))),
        media_type=_media_type_of(response.headers.get("content-type", "")),
        bytes=received,
    )


def name_of(url: str, content_disposition: str = "") -> str:
    """The file's name, of any content: by the header (RFC 6266) where it has one, else the last part of the path."""
    header = Message()
    header["Content-Disposition"] = " ".join(_as_utf8(content_disposition).split())
    return header.get_filename("") or unquote(urlsplit(url).path).rpartition("/")[2]


def _as_utf8(field: str) -> str:
    """A header field (Latin-1) as its sender meant it: many send UTF-8."""
    try:
        return field.encode("latin-1").decode()
    except UnicodeError:
        return field


def _check_status(status: int) -> None:
    if status == 200:
        return
    if 300 <= status < 400:
        raise FetchFailed(f"The server redirects (HTTP {status}). Redirects are not followed: give the final URL.")
    if status >= 500 or status in _BUSY:
        raise OutboundError(f"The server of the recording answered with HTTP {status}.")
    raise FetchFailed(f"The server of the recording answered with HTTP {status}.")


def _check_headers(headers: Mapping[str, str], *, max_bytes: int) -> None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchFailed(f"The server compresses the file ({encoding[:20]!r}), which was not asked for.")
    stated = headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> InputTooLarge:
    return InputTooLarge(f"The file at the URL is larger than the limit of {max_bytes} bytes.")


def _media_type_of(content_type: str) -> str:
    essence = content_type.partition(";")[0].strip().lower()
    return essence if _MEDIA_TYPE.fullmatch(essence) else ANY_MEDIA_TYPE

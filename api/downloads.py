"""Files on their way out: whole or one range (RFC 9110, section 14), streamed from the store in constant memory."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from api.errors import problem_response
from core.file_names import content_disposition
from core.jobs import OutputFile
from core.storage import ObjectStore

BLOCK_BYTES = 256 * 1024
_SAFE_METHODS = ("GET", "HEAD")  # conditions and ranges mean nothing to others
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """`start` up to, without, `stop`."""

    start: int
    stop: int

    @property
    def bytes(self) -> int:
        return self.stop - self.start


def parse_range(header: str, size_bytes: int) -> ByteRange | None:
    """The one range that `header` asks for, cut to the file's size.

    None when the header is to be ignored: malformed, another unit, or several ranges (a server may send the whole file
    then). A range that lies outside the file comes back empty: it cannot be satisfied.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return ByteRange(start=max(0, size_bytes - int(last)), stop=size_bytes)
    start = int(first)
    if last and int(last) < start:
        return None
    stop = min(int(last) + 1, size_bytes) if last else size_bytes
    return ByteRange(start=start, stop=max(start, stop))


def output_headers(output: OutputFile) -> dict[str, str]:
    """The headers of every response that carries `output`, or a part of it."""
    digest = base64.b64encode(bytes.fromhex(output.sha256)).decode()
    return {
        "Accept-Ranges": "bytes",
        "ETag": output_etag(output),
        "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530: of the whole file, also in a partial response
        "Content-Disposition": content_disposition(output.name),
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
    }


def output_etag(output: OutputFile) -> str:
    """Strong: outputs never change."""
    return f'"{output.sha256}"'


def is_not_modified(request: Request, etag: str) -> bool:
    """True when If-None-Match names `etag`, or is `*`; weak comparison."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in tags or "*" in tags


async def send_output(request: Request, output: OutputFile, *, store: ObjectStore) -> Response:
    """The file, or the part or the news of it that the request's headers ask for."""
    headers = output_headers(output)
    if request.method in _SAFE_METHODS and is_not_modified(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    wanted = _wanted_range(request, output)
    if wanted is not None and wanted.bytes <= 0:
        return problem_response(
            request,
            416,
            code="range_not_satisfiable",
            title="The range lies outside the file",
            detail=f"The file has {output.bytes} bytes.",
            headers={"Content-Range": f"bytes */{output.bytes}"},
        )
    part = wanted or ByteRange(start=0, stop=output.bytes)
    headers["Content-Length"] = str(part.bytes)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{output.bytes}"
    status = 200 if wanted is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=output.media_type)
    # Opened before the status is sent, so that a missing object or a silent store is still told as an error.
    reader = await run_in_threadpool(_open_at, store, output.key, part.start)
    return StreamingResponse(
        _read(reader, part.bytes), status_code=status, headers=headers, media_type=output.media_type
    )


def _wanted_range(request: Request, output: OutputFile) -> ByteRange | None:
    header = request.headers.get("range")
    if header is None or request.method not in _SAFE_METHODS:
        return None
    if request.headers.get("if-range", output_etag(output)) != output_etag(output):
        return None
    return parse_range(header, output.bytes)


def _open_at(store: ObjectStore, key: str, start: int) -> BinaryIO:
    reader = store.open_reader(key)
    reader.seek(start)
    return reader


async def _read(reader: BinaryIO, size_bytes: int) -> AsyncIterator[bytes]:
    with reader:
        left = size_bytes
        while left > 0:
            block = await run_in_threadpool(reader.read, min(left, BLOCK_BYTES))
            if not block:
                raise EOFError(f"The stored file ends {left} bytes early.")
            left -= len(block)
            yield block

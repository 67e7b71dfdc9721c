"""A web server with one file, which breaks off, refuses and changes its mind as a test tells it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What the server does with the one file that it has, and which requests it saw."""

    data: bytes
    etag: str | None = '"v1"'
    media_type: str = "application/octet-stream"
    status: int = 200
    cut_after: list[int] = field(default_factory=list)  # bytes after which the next answers break off
    honours_range: bool = True
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    files: FileServer

    def do_GET(self) -> None:
        served = self.files
        requested = self.headers.get("Range")
        served.ranges.append(requested)
        start = 0
        is_same = self.headers.get("If-Range") == served.etag
        if requested and served.honours_range and is_same and served.status == 200:
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
            if start >= len(served.data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(served.data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(served.data) - 1}/{len(served.data)}")
        else:
            self.send_response(served.status)
        body = served.data[start:]
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", served.media_type)
        if served.etag is not None:
            self.send_header("ETag", served.etag)
        self.end_headers()
        self.wfile.write(body[: served.cut_after.pop(0)] if served.cut_after else body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def file_server(data: bytes, *, name: str) -> Iterator[FileServer]:
    """A server on this machine that has `data` under `name`."""
    served = FileServer(data=data)
    handler = type("Handler", (_Handler,), {"files": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{httpd.server_port}/{name}"
        yield served
        httpd.shutdown()
        thread.join()

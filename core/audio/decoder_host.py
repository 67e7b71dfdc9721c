"""The process that decodes for another one: it has the libraries loaded, and forks a decoder for each file.

A file can make libsndfile or FFmpeg crash, spin or allocate without end. Here that costs a process of a few megabytes,
under limits of memory and time, and nothing else (docs/adr). Started by core.audio.isolation; ends with its parent.
"""

from __future__ import annotations

import functools
import io
import json
import os
import resource
import signal
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from core.audio.cover import read_cover
from core.audio.decode import Decoder, gather_blocks, open_decoder
from core.audio.source import Source
from core.audio.tags import read_tags
from core.audio.wire import OUT_OF_MEMORY_STATUS, RANGE, STATUS, ConnectionClosed, DecoderLimits, Kind, receive, send
from core.errors import InvalidAudio, InvalidOptions, UnsupportedMedia

SLOWEST_RTF = 0.5
"""A decoder that takes longer than this for a second of sound, over the whole of it, is not at work on a recording."""

PIECE_FRAMES = 32_768
READ_BYTES = 256 * 1024
_STATM = Path("/proc/self/statm")


def main(control_fd: int, limits: DecoderLimits) -> None:
    """Fork a decoder for each connection that comes over the control socket, until its other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our parent, whose end is ours
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, _reap)
    with socket.socket(fileno=control_fd) as control:
        while True:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not descriptors:
                return
            [descriptor] = descriptors
            if os.fork() == 0:
                control.close()
                _guard(socket.socket(fileno=descriptor), limits)
            os.close(descriptor)


def _reap(*_: object) -> None:
    """Wait for guards that have ended: ignoring their signal would do too, but then nobody knew their CPU time."""
    with suppress(ChildProcessError):  # none is left
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _guard(connection: socket.socket, limits: DecoderLimits) -> NoReturn:
    """Run the decoder in a fork, and tell how it ended: what a process that crashed cannot do itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.fork() == 0:
        _run(connection, limits)
    _, status = os.wait()
    with suppress(ConnectionClosed, OSError):  # nobody wants to know any more
        send(connection, Kind.EXIT, STATUS.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _run(connection: socket.socket, limits: DecoderLimits) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    _limit(limits.memory_bytes)
    status = 1
    try:
        _serve(connection, Watch(limits.stall_s))
        status = 0
    except ConnectionClosed:
        status = 0  # the sound is no longer wanted
    except MemoryError:
        os._exit(OUT_OF_MEMORY_STATUS)  # there may be none left to say so
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def _limit(memory_bytes: int) -> None:
    if _STATM.exists():  # Linux; macOS does not hold to this limit anyway
        used_bytes = int(_STATM.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used_bytes + memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder writes no files


class Watch:
    """Ends this process when decoding takes too long: by the kernel, whatever C code is doing (DecoderLimits)."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._worked_s = 0.0
        self._started_at = 0.0
        self.decoded_s = 0.0  # of sound

    @contextmanager
    def working(self) -> Iterator[None]:
        """While the decoder is at work."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While it waits for others, in the middle of its work: how slow a store is, is not the file's fault."""
        self._stop()
        yield
        self._start()

    def _start(self) -> None:
        left_s = self._stall_s + SLOWEST_RTF * self.decoded_s - self._worked_s
        signal.setitimer(signal.ITIMER_REAL, max(min(left_s, self._stall_s), 1e-6))
        self._started_at = time.monotonic()

    def _stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._worked_s += time.monotonic() - self._started_at


def _serve(connection: socket.socket, watch: Watch) -> None:
    kind, payload = receive(connection)
    if kind is not Kind.OPEN:
        raise ConnectionClosed
    request: dict[str, Any] = json.loads(payload)
    remote = functools.partial(_open, connection, int(request["size_bytes"]), watch)
    with watch.working():
        try:
            decoder = open_decoder(Source(remote()), name=request["name"], track=request["track"])
        except (InvalidAudio, UnsupportedMedia, InvalidOptions) as error:
            send(connection, Kind.REFUSED, json.dumps({"code": error.code, "detail": str(error)}).encode())
            return
        opened: dict[str, Any] = {"probe": asdict(decoder.probe), "tags": {}, "cover": None}
        cover = None
        if request["is_decoded"]:
            opened["tags"] = read_tags(remote(), track=request["track"])
            cover = read_cover(remote())
    if cover is not None:
        opened["cover"] = {"codec": cover.codec, "width": cover.width, "height": cover.height}
    send(connection, Kind.OPENED, json.dumps(opened).encode())
    if cover is not None:
        send(connection, Kind.COVER, cover.data)
    if request["is_decoded"]:
        _send_sound(connection, decoder, watch)


def _send_sound(connection: socket.socket, decoder: Decoder, watch: Watch) -> None:
    pieces = gather_blocks(decoder.pieces(), block_frames=PIECE_FRAMES)
    while True:
        with watch.working():
            piece = next(pieces, None)
        if piece is None:
            break
        watch.decoded_s += piece.shape[-1] / decoder.probe.sample_rate
        send(connection, Kind.PIECE, piece.tobytes())
    send(connection, Kind.END, json.dumps(decoder.warning).encode())


def _open(connection: socket.socket, size_bytes: int, watch: Watch) -> BinaryIO:
    return io.BufferedReader(_RemoteFile(connection, size_bytes, watch), READ_BYTES)


class _RemoteFile(io.RawIOBase):
    """The file, which stays with the other process: each read asks for a range of it."""

    def __init__(self, connection: socket.socket, size_bytes: int, watch: Watch) -> None:
        super().__init__()
        self._connection, self._size_bytes, self._watch = connection, size_bytes, watch
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - a writable buffer, which has no type in Python 3.11
        wanted = min(len(buffer), self._size_bytes - self._position)
        if wanted <= 0:
            return 0
        with self._watch.waiting():
            send(self._connection, Kind.READ, RANGE.pack(self._position, wanted))
            kind, data = receive(self._connection)
        if kind is not Kind.BYTES or len(data) > wanted:
            raise ConnectionClosed
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

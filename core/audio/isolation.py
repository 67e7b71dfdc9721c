"""Decoding at arm's length: what a file does to libsndfile or FFmpeg, it does to a process of its own under limits.

The process that decodes (core.audio.decoder_host) sees no more of the file than the ranges that it asks for, and hands
back samples; nothing that it says is trusted further than that.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.audio.formats import AudioProbe, shown_name
from core.audio.source import Source
from core.audio.types import FloatArray
from core.audio.wire import OUT_OF_MEMORY_STATUS, RANGE, STATUS, ConnectionClosed, DecoderLimits, Kind, receive, send
from core.errors import DecoderLost, InvalidAudio, InvalidOptions, UnsupportedMedia

logger = logging.getLogger(__name__)

SILENCE_S = 120.0
"""Longer than a decoder lives without a word: whoever is silent for so long was halted from outside."""

BYTES_PER_SAMPLE = 4
_ROOT = str(Path(__file__).parents[2])
_BOOTSTRAP = """
import sys
sys.path.insert(0, sys.argv[1])
from core.audio.decoder_host import main
from core.audio.wire import DecoderLimits
main(int(sys.argv[2]), DecoderLimits(memory_bytes=int(sys.argv[3]), stall_s=float(sys.argv[4])))
"""
_ENDED_FROM_OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT})
_TOO_LONG = frozenset({-signal.SIGALRM, -signal.SIGXCPU})
_REFUSALS = {error.code: error for error in (InvalidAudio, InvalidOptions, UnsupportedMedia)}


class DecoderHost:
    """The process that forks decoders for this one: started when first needed, again when it has died or we are a fork.

    For many threads at once. `limits` are for each decoder.
    """

    def __init__(self, limits: DecoderLimits | None = None) -> None:
        self._limits = limits or DecoderLimits()
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def connect(self) -> socket.socket:
        """A connection to a fresh decoder; DecoderLost when none can be had."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            try:
                socket.send_fds(self._running(), [b"+"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                self._forget()
                raise DecoderLost("The process that decodes has ended.") from error
        ours.settimeout(SILENCE_S)
        return ours

    @property
    def pid(self) -> int | None:
        """Process id of the host; None while it does not run."""
        return self._process.pid if self._process is not None else None

    def close(self) -> None:
        """End the host, unless it is another process's; decoders that are at work end at their next word."""
        process = self._process
        self._forget()
        if process is not None and self._owner == os.getpid():
            process.wait()

    def _running(self) -> socket.socket:
        is_ours = self._owner == os.getpid()
        if is_ours and self._process is not None and self._process.poll() is not None:
            self._forget()
        if is_ours and self._control is not None:
            return self._control
        return self._start()

    def _start(self) -> socket.socket:
        control, theirs = socket.socketpair()
        limits = [str(self._limits.memory_bytes), str(self._limits.stall_s)]
        with theirs:
            # -P and a path of our own: a folder named `core` where the caller happens to stand must not hide ours.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOTSTRAP, _ROOT, str(theirs.fileno()), *limits],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._owner, self._control = os.getpid(), control
        return control

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()  # the host ends with it, if it has not yet
        self._process = self._control = None


_host = DecoderHost()
atexit.register(_host.close)


class IsolatedDecoder:
    """A Decoder (core.audio.decode) whose work is done elsewhere. `tags` are those of core.audio.tags; a cover comes
    as what core.audio.cover.Cover says of it, and its bytes.

    Raises UnsupportedMedia, InvalidAudio and InvalidOptions as a decoder in this process would, InvalidAudio also for a
    file on which the decoder crashes or exceeds its limits; DecoderLost, which may be tried again, when it was ended
    from outside; and whatever reading `source` raised.
    """

    def __init__(
        self,
        source: Source,
        *,
        name: str = "",
        track: int = 1,
        is_decoded: bool = True,
        host: DecoderHost | None = None,
    ) -> None:
        self._source, self._subject = source, shown_name(name)
        self._connection = (host or _host).connect()
        self.warning: str | None = None
        try:
            request = {"name": name, "size_bytes": source.size_bytes, "track": track, "is_decoded": is_decoded}
            self._send(Kind.OPEN, json.dumps(request).encode())
            self._read_facts(self._receive(Kind.OPENED))
            self.cover_data = self._receive(Kind.COVER) if self.cover_facts else None
        except BaseException:
            self.close()
            raise

    def pieces(self) -> Iterator[FloatArray]:
        """Yield the samples (C, T) in order; sets `warning` at the end."""
        while True:
            kind, payload = self._next()
            if kind is Kind.END:
                self.warning = json.loads(payload)
                return
            if kind is not Kind.PIECE or len(payload) % (BYTES_PER_SAMPLE * self.probe.channels):
                raise self._confused()
            yield np.frombuffer(payload, dtype=np.float32).reshape(self.probe.channels, -1)

    def close(self) -> None:
        """Hang up: a decoder that is still at work ends at its next word."""
        self._connection.close()

    def _read_facts(self, payload: bytearray) -> None:
        try:
            opened = json.loads(payload)
            self.probe = AudioProbe(**opened["probe"])
            self.tags: dict[str, str] = dict(opened["tags"])
            self.cover_facts: dict[str, Any] = dict(opened["cover"] or {})
        except (ValueError, TypeError, KeyError) as error:
            raise self._confused() from error

    def _receive(self, expected: Kind) -> bytearray:
        kind, payload = self._next()
        if kind is not expected:
            raise self._confused()
        return payload

    def _next(self) -> tuple[Kind, bytearray]:
        """The next message that is not about reading; raises what the decoder's end means."""
        while True:
            try:
                kind, payload = receive(self._connection)
            except (ConnectionClosed, TimeoutError) as error:
                raise DecoderLost(f"The process that decoded {self._subject} has ended.") from error
            if kind is Kind.READ:
                offset, size = RANGE.unpack(payload)
                data = self._source.read_at(offset, size)
                self._source.raise_failure()
                self._send(Kind.BYTES, data)
            elif kind is Kind.REFUSED:
                refusal = json.loads(payload)
                raise _REFUSALS.get(refusal["code"], InvalidAudio)(refusal["detail"])
            elif kind is Kind.EXIT:
                raise self._error_of(*STATUS.unpack(payload))
            else:
                return kind, payload

    def _send(self, kind: Kind, payload: bytes) -> None:
        with suppress(ConnectionClosed, TimeoutError):  # what comes next from there says why
            send(self._connection, kind, payload)

    def _error_of(self, status: int) -> InvalidAudio | DecoderLost:
        logger.warning("decoder_ended", extra={"file": self._subject, "exit_status": status})
        if status in _ENDED_FROM_OUTSIDE:
            return DecoderLost(f"The process that decoded {self._subject} was ended from outside.")
        if status in _TOO_LONG:
            return InvalidAudio(f"{self._subject} keeps the decoder busy without end; it is damaged or hostile.")
        if status == OUT_OF_MEMORY_STATUS:
            return InvalidAudio(f"{self._subject} asks for more memory than any recording needs; it is damaged.")
        return InvalidAudio(f"{self._subject} makes the decoder fail; it is damaged or hostile.")

    def _confused(self) -> InvalidAudio:
        return InvalidAudio(f"{self._subject} confuses the decoder; it is damaged or hostile.")


def probe_isolated(source: BinaryIO | Path, *, name: str = "", track: int = 1) -> AudioProbe:
    """core.audio.probe.probe, at arm's length: the same answer and errors, and those of IsolatedDecoder."""
    with Source(source) as opened:
        decoder = IsolatedDecoder(opened, name=name, track=track, is_decoded=False)
        decoder.close()
        return decoder.probe

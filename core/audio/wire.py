"""Messages between a decoder in a process of its own and the process that wants the sound: a kind, a length, bytes."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from enum import IntEnum

MAX_PAYLOAD_BYTES = 64 * 1024**2
DEFAULT_MEMORY_BYTES = 1024**3
DEFAULT_STALL_S = 60.0

OUT_OF_MEMORY_STATUS = 3
"""Exit status of a decoder that met its limit and could say so."""

RANGE = struct.Struct("!QQ")  # payload of READ
STATUS = struct.Struct("!i")  # payload of EXIT
_HEADER = struct.Struct("!BI")


class Kind(IntEnum):
    """What a message is. The first two go to the decoder, the others come from it."""

    OPEN = 1  # JSON: the file's name and size, the sound track, and whether more than its facts is wanted
    BYTES = 2  # the answer to READ; shorter at the end of the file
    READ = 3  # RANGE: offset, size
    OPENED = 4  # JSON: what the file is; COVER follows if it says so
    COVER = 5  # the picture's bytes
    PIECE = 6  # float32 samples, (C, T) in C order
    END = 7  # JSON: the warning, or null
    REFUSED = 8  # JSON: the error's code and text
    EXIT = 9  # STATUS: the exit status, or minus the number of the signal that ended it


_KINDS = frozenset(kind.value for kind in Kind)


@dataclass(frozen=True, kw_only=True)
class DecoderLimits:
    """What one decoder may take.

    `memory_bytes` is address space beyond what the libraries have already. A decoder that works for `stall_s`, on the
    processor or not, without handing anything out is ended; so is one that all in all has worked for longer than that
    and half of the playing time that it has handed out.
    """

    memory_bytes: int = DEFAULT_MEMORY_BYTES
    stall_s: float = DEFAULT_STALL_S


class ConnectionClosed(Exception):
    """The other side has gone."""


def send(connection: socket.socket, kind: Kind, payload: bytes = b"") -> None:
    """Send one message; ConnectionClosed when nobody receives it."""
    try:
        connection.sendall(_HEADER.pack(kind, len(payload)))
        connection.sendall(payload)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ConnectionClosed from error


def receive(connection: socket.socket) -> tuple[Kind, bytearray]:
    """The next message; ConnectionClosed when none comes, or one that cannot be meant. TimeoutError as the socket says.

    Nothing in a message is trusted beyond its frame: the sender may be a decoder that a file has taken over.
    """
    kind, size = _HEADER.unpack(_receive_exactly(connection, _HEADER.size))
    if size > MAX_PAYLOAD_BYTES or kind not in _KINDS:
        raise ConnectionClosed
    return Kind(kind), _receive_exactly(connection, size)


def _receive_exactly(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        try:
            count = connection.recv_into(view)
        except ConnectionResetError as error:
            raise ConnectionClosed from error
        if not count:
            raise ConnectionClosed
        view = view[count:]
    return data

"""Job ids: UUID version 7 (RFC 9562), which sort by the time that they were made."""

from __future__ import annotations

import re
import secrets
import threading
import time
import uuid
from datetime import datetime

_FRACTION_BITS = 12  # of a millisecond, in rand_a (RFC 9562, section 6.2, method 3)
_RANDOM_BITS = 62
_NS_PER_MS = 1_000_000

ID_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
"""A UUID in its canonical form, for schemas."""

_lock = threading.Lock()
_last_ticks = 0


def new_id() -> str:
    """A UUIDv7 in its canonical form. Within a process every id is greater than the one before, as text too."""
    ticks = _next_ticks()
    milliseconds, fraction = ticks >> _FRACTION_BITS, ticks & ((1 << _FRACTION_BITS) - 1)
    value = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return str(uuid.UUID(int=value))


def first_id_at(time: datetime) -> str:
    """The least id that is made at `time`: ids made before are less, as text too."""
    milliseconds = int(time.timestamp() * 1000)
    return str(uuid.UUID(int=milliseconds << 80))


def is_id(text: str) -> bool:
    """True for a UUID in its canonical form; anything else cannot be the id of a job."""
    return re.fullmatch(ID_PATTERN, text) is not None


def _next_ticks() -> int:
    """Milliseconds since the epoch with twelve bits of fraction; never twice the same, never backwards."""
    global _last_ticks
    milliseconds, rest_ns = divmod(time.time_ns(), _NS_PER_MS)
    ticks = (milliseconds << _FRACTION_BITS) + (rest_ns << _FRACTION_BITS) // _NS_PER_MS
    with _lock:
        _last_ticks = max(ticks, _last_ticks + 1)
        return _last_ticks

"""Memory that was freed stays with the process, so that the system need not hand it out anew.

Networks ask for the same hundreds of megabytes again and again. glibc gives each block beyond 32 MB, and a free end of
the heap beyond 64 MB, back to the system, which clears every page of the next one and maps it in a fault of its own: an
eighth of the time of htdemucs, a sixteenth of that of limpid-speech, a quarter of that of its training.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = -1
_MIB = 1024**2
MAPPED_BYTES = 1024 * _MIB
"""From this size on a block is still the system's, so that the very largest do not stay for good."""
_ADAPTED_BYTES = 32 * _MIB
"""Where glibc's own adaptation ends: larger blocks are the system's."""


def keep_freed_memory() -> None:
    """Make this process reuse its memory instead of returning it; does nothing without glibc."""
    glibc = _glibc()
    if glibc is not None:
        glibc.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        glibc.mallopt(_M_TRIM_THRESHOLD, _NEVER)


def return_freed_memory() -> None:
    """Return what is free, and from now on what becomes free, as a process with networks does by itself."""
    glibc = _glibc()
    if glibc is not None:
        glibc.mallopt(_M_MMAP_THRESHOLD, _ADAPTED_BYTES)
        glibc.mallopt(_M_TRIM_THRESHOLD, 2 * _ADAPTED_BYTES)
        glibc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") else None  # musl has none

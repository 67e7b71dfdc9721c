"""Small files written whole: a reader, and whoever comes after a crash, finds the old content or the new."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a hidden file beside `path`, flush it to disk and rename it over `path`; OSError when it cannot.

    The folder must be there. Of writers at the same time, the last one's content stays.
    """
    temporary = path.with_name(f".{uuid4().hex}")  # not longer than any name that the file may have
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

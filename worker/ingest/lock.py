"""One watcher per folder."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Conflict

logger = logging.getLogger(__name__)

LOCK_FILE = "watch.lock"

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


@contextmanager
def watch_lock(state_folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock ends with the process, however it ends. Conflict when another has it.

    On a network drive without locks a warning is logged instead: the claims themselves still go to one watcher each.
    """
    state_folder.mkdir(parents=True, exist_ok=True)
    with (state_folder / LOCK_FILE).open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise Conflict(f"The folder is being watched already, by {owner}.") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            logger.warning("watch_lock_not_supported", extra={"reason": error.strerror})
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        lock.flush()
        yield

"""The embedded stack's broker: kombu's `filesystem://` transport, with writes that nobody can see half done.

Kombu's own writes a message in place, so that a consumer may read an empty file, and takes one by moving it to the
machine's temporary folder, perhaps on another disk. Here a message appears by a rename and is taken by a rename.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

from kombu.transport import filesystem, virtual
from kombu.utils.json import dumps, loads

MESSAGES_FOLDER = "messages"
TAKEN_FOLDER = "taken"
DRAIN_TIMEOUT_S = 0.5
_SUFFIX = ".msg"


class QoS(virtual.QoS):
    """Takes no message that no process is free to run: prefetched ones would wait here while others are idle."""

    def can_consume(self) -> bool:
        """True when the consumer has room, by the transport option `has_room` too."""
        has_room = self.channel.transport_options.get("has_room")
        has_quota = super().can_consume()  # type: ignore[no-untyped-call]
        return bool(has_quota) and (has_room is None or has_room())


class Channel(filesystem.Channel):
    """Messages are files `<time>_<random>.<queue>.msg`, oldest first."""

    QoS = QoS

    @property
    def _messages(self) -> Path:
        return Path(self.transport_options["folder"]) / MESSAGES_FOLDER

    @property
    def _taken(self) -> Path:
        return Path(self.transport_options["folder"]) / TAKEN_FOLDER

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        name = f"{time.time_ns():020d}_{uuid4().hex}.{queue}{_SUFFIX}"
        temporary = self._messages / f".{name}.part"
        temporary.write_text(dumps(message), encoding="utf-8")
        temporary.rename(self._messages / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:  # noqa: ANN401
        for path in self._waiting(queue):
            taken = self._taken / path.name
            try:
                path.rename(taken)
            except FileNotFoundError:
                continue  # another consumer was faster
            payload = loads(taken.read_text(encoding="utf-8"))
            taken.unlink()
            return payload
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._waiting(queue))

    def _purge(self, queue: str) -> int:
        paths = self._waiting(queue)
        for path in paths:
            with suppress(FileNotFoundError):
                path.unlink()
        return len(paths)

    def _waiting(self, queue: str) -> list[Path]:
        suffix = f".{queue}{_SUFFIX}"
        names = (path for path in self._messages.iterdir() if path.name.endswith(suffix))
        return sorted(path for path in names if path.name.partition(".")[2] == suffix[1:])


class Transport(filesystem.Transport):
    """The transport of the embedded stack."""

    Channel = Channel

    def drain_events(self, connection: Any, **kwargs: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        """Deliver a message. TimeoutError after half a second: the worker looks at its signals between calls."""
        kwargs["timeout"] = min(kwargs.get("timeout") or DRAIN_TIMEOUT_S, DRAIN_TIMEOUT_S)
        super().drain_events(connection, **kwargs)  # type: ignore[no-untyped-call]


def prepare_folder(folder: Path) -> None:
    """Make the folders that the transport needs below `folder`; OSError when that cannot be done."""
    for name in (MESSAGES_FOLDER, TAKEN_FOLDER):
        (folder / name).mkdir(parents=True, exist_ok=True)

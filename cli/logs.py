"""How the long-running processes log: one line per event, `key=value` for what belongs to it, on standard error."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

_QUIETER = {
    "httpx": logging.WARNING,  # one line per request
    "celery.app.trace": logging.WARNING,  # repeats, with every argument, what the worker says of a job
    "celery.worker.strategy": logging.WARNING,
    "kombu.connection": logging.ERROR,  # warns that a folder has no host name
}


class EventFormatter(logging.Formatter):
    """`2026-11-20T10:40:00.123Z INFO core.services job_submitted job_id=0199 preset=speech`.

    Values that hold a space, a quote or a line break are quoted, so that one event stays one line.
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
        parts = [f"{time}Z", record.levelname, record.name, record.getMessage()]
        parts += [f"{key}={_quoted(value)}" for key, value in fields.items()]
        line = " ".join(parts)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure_logging(level: str) -> None:
    """Send what is of at least `level` to standard error, less what repeats at that level; replaces what was set up."""
    handler = logging.StreamHandler()
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if level != "DEBUG":
        for name, least in _QUIETER.items():
            logging.getLogger(name).setLevel(least)


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in "\"'=" for c in text) else text

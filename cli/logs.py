"""How the long-running processes log: one line per event on standard error, as text for people or as JSON."""

from __future__ import annotations

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any, Literal

from core.monitoring.log_context import current_fields
from core.monitoring.redaction import redact

LogFormat = Literal["text", "json"]

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

_QUIETER = {
    "httpx": logging.WARNING,  # one line per request
    "celery.app.trace": logging.WARNING,  # repeats, with every argument, what the worker says of a job
    "celery.worker.strategy": logging.WARNING,
    "kombu.connection": logging.ERROR,  # warns that a folder has no host name
}


class EventFormatter(logging.Formatter):
    """`2026-11-20T10:40:00.123Z INFO core.services job_submitted job_id=0199 preset=speech`.

    Values that hold a space, a quote or a line break are quoted, so that one event stays one line; an exception follows
    on lines of its own. Credentials are left out (core.monitoring.redaction).
    """

    def format(self, record: logging.LogRecord) -> str:
        parts = [_time_of(record), record.levelname, record.name, record.getMessage()]
        parts += [f"{key}={_quoted(value)}" for key, value in _fields_of(record).items()]
        line = " ".join(parts)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `timestamp`, `level`, `logger`, `message`, the event's own fields, `exception`.

    Credentials are left out, as above.
    """

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "timestamp": _time_of(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        document |= {key: value for key, value in _fields_of(record).items() if key not in document}
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: _json_value(value) for key, value in document.items()}, ensure_ascii=False)


def configure_logging(level: str, log_format: LogFormat = "text") -> None:
    """Send what is of at least `level` to standard error, less what repeats at that level; replaces what was set up."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else EventFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if level != "DEBUG":
        for name, least in _QUIETER.items():
            logging.getLogger(name).setLevel(least)


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The event's own fields, then those of its context that it does not name itself."""
    own = {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
    return own | {key: value for key, value in current_fields().items() if key not in own}


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in "\"'=" for c in text) else text


def _json_value(value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value  # JSON has no infinity
    return redact(str(value))

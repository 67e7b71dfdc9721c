"""Log lines of the long-running processes."""

from __future__ import annotations

import logging
import sys

from cli.logs import EventFormatter


def record(**extra: object) -> logging.LogRecord:
    values = {"name": "core.services", "levelname": "INFO", "msg": "job_submitted", "created": 0.5, **extra}
    return logging.makeLogRecord(values)


def test_event_is_one_line_with_its_fields() -> None:
    line = EventFormatter().format(record(job_id="0199", attempt=2))

    assert line == "1970-01-01T00:00:00.500Z INFO core.services job_submitted job_id=0199 attempt=2"


def test_value_with_a_line_break_stays_on_the_line() -> None:
    line = EventFormatter().format(record(file_name="a\nFORGED b"))

    assert line.endswith(r"file_name='a\nFORGED b'")
    assert "\n" not in line


def test_exception_is_kept() -> None:
    try:
        raise ValueError("broken header")
    except ValueError:
        line = EventFormatter().format(record(exc_info=sys.exc_info()))

    assert line.endswith("ValueError: broken header")

"""Log lines of the long-running processes."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from cli.logs import EventFormatter, JsonFormatter
from core.monitoring.log_context import log_context

FORMATTERS = (EventFormatter, JsonFormatter)


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


def test_json_event_has_its_fields_by_name() -> None:
    document = json.loads(JsonFormatter().format(record(job_id="0199", attempt=2, rtf=0.04, code=None)))

    assert document == {
        "timestamp": "1970-01-01T00:00:00.500Z",
        "level": "INFO",
        "logger": "core.services",
        "message": "job_submitted",
        "job_id": "0199",
        "attempt": 2,
        "rtf": 0.04,
        "code": None,
    }


def test_json_has_no_number_that_json_does_not_have() -> None:
    assert json.loads(JsonFormatter().format(record(loudness_lufs=float("-inf"))))["loudness_lufs"] == "-inf"


def test_json_event_is_one_line_with_its_exception() -> None:
    try:
        raise ValueError("broken\nheader")
    except ValueError:
        line = JsonFormatter().format(record(exc_info=sys.exc_info(), file_name='a\n"b"'))

    assert "\n" not in line
    document = json.loads(line)
    assert document["exception"].endswith("ValueError: broken\nheader")
    assert document["file_name"] == 'a\n"b"'


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_lines_inside_a_context_say_what_they_belong_to(formatter: type[logging.Formatter]) -> None:
    with log_context(job_id="0199", attempt=1), log_context(attempt=2):
        inside = formatter().format(record())
    outside = formatter().format(record())

    assert "0199" in inside
    assert ("attempt=2" in inside) or ('"attempt": 2' in inside)
    assert "0199" not in outside


def test_fields_of_the_event_come_before_those_of_its_context() -> None:
    with log_context(job_id="outer"):
        assert json.loads(JsonFormatter().format(record(job_id="own")))["job_id"] == "own"


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://s3.example.com/b/k?X-Amz-Credential=AKIA&X-Amz-Signature=5f1b", "5f1b"),
        ("https://files.example.com/talk.wav?hidden=5f1b", "5f1b"),
        ('GET "/files?part=1&X-Amz-Signature=5f1b&n=2" 200', "5f1b"),
        ("postgresql://limpid:hush@db:5432/limpid", "hush"),
        ("redis://:hush@cache/0", "hush"),
        ("Authorization: Bearer lmp_abcdefghijkl", "abcdefghijkl"),
        ("key lmp_abcdefghijkl", "abcdefghijkl"),
        ("whsec_bGltcGlkLWRldg==", "bGltcGlkLWRldg"),
        ('"POST /api/v1/jobs?options=%7B%22webhook%22%3A%22whsec_bGltcGls%2Bhush%22%7D&preset=x"', "hush"),
        ("secret%22%3A%22whsec_bGltcGls%2Bhush%3D%22", "hush"),
    ],
)
def test_credentials_are_left_out_wherever_they_are(formatter: type[logging.Formatter], text: str, secret: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        line = formatter().format(record(msg=text, reason=text, exc_info=sys.exc_info()))

    assert secret not in line
    assert line.count("[redacted]") >= 3


def test_what_is_no_credential_stays() -> None:
    text = "GET /api/v1/jobs?status=queued&cursor=0199 and mail to ops@example.com, http://127.0.0.1:8000/docs"

    assert text in EventFormatter().format(record(msg=text))

"""Object keys: where a job's files lie in the object store, and what a key may look like."""

from __future__ import annotations

import re

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")
_PREFIX = re.compile(rf"{_PART}(?:/{_PART})*/?")

MAX_KEY_BYTES = 512

RESERVED_PREFIXES = ("jobs/",)
"""Everything that Limpid stores has a key below one of these; the rest of its bucket is the operator's."""


def job_prefix(job_id: str) -> str:
    """Every object of a job, input and outputs, has a key below this one."""
    return f"jobs/{job_id}/"


def input_key(job_id: str) -> str:
    """Where a job's recording lies."""
    return f"{job_prefix(job_id)}input"


def reference_key(job_id: str) -> str:
    """Where the clean reference of a job's recording lies."""
    return f"{job_prefix(job_id)}reference"


def attempt_prefix(job_id: str, attempt: int) -> str:
    """Where the outputs of one attempt lie; those of an attempt that died are deleted by it."""
    return f"{job_prefix(job_id)}{attempt}/"


def output_key(job_id: str, attempt: int, position: int) -> str:
    """Where one output lies. The user's name for it is in the database only."""
    return f"{attempt_prefix(job_id, attempt)}{position:02d}"


def checked_key(key: str) -> str:
    """`key` itself; ValueError when it is not a relative path of plain ASCII names without a leading dot."""
    return _checked(key, _KEY)


def checked_prefix(prefix: str) -> str:
    """`prefix` itself, which may end in a slash; ValueError as above. The empty prefix, everything, is refused."""
    return _checked(prefix, _PREFIX)


def _checked(text: str, pattern: re.Pattern[str]) -> str:
    if len(text) > MAX_KEY_BYTES or not pattern.fullmatch(text):
        raise ValueError(f"Not an object key: {text!r}.")
    return text

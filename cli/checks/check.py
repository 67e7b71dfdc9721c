"""One finding of `limpid doctor`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing that is needed is missing
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the diagnosis."""

    name: str
    verdict: Verdict
    detail: str


def ok(name: str, detail: str) -> Check:
    """All is well."""
    return Check(name=name, verdict=Verdict.OK, detail=detail)


def note(name: str, detail: str) -> Check:
    """Worth knowing."""
    return Check(name=name, verdict=Verdict.NOTE, detail=detail)


def bad(name: str, detail: str) -> Check:
    """Something that is needed is not there; `detail` says what to do."""
    return Check(name=name, verdict=Verdict.BAD, detail=detail)


def without_credentials(url: str) -> str:
    """`url` without user, password and query."""
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])

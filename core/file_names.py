"""User file names: made safe to store, to show, to log and to send in a header. They are never used as keys."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

MAX_NAME_BYTES = 200
"""UTF-8 bytes. ext4, APFS and NTFS allow 255; the rest is room for what outputs append (`.residual.wav`)."""

FALLBACK_NAME = "recording"

# Control characters, line and paragraph separators, lone surrogates; and the marks that reverse the reading direction,
# with which "gpj.exe" can be made to read as "exe.jpg".
_DROPPED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")

_MAX_SUFFIX_BYTES = 16
_ATTR_CHARS = "!#$&+-.^_`|~"  # RFC 8187 attr-char, beside letters and digits


def safe_file_name(name: str) -> str:
    """The last part of `name` without anything that harms: never empty, no path, one line, at most 200 bytes.

    Folders (before `/` or `\\`), control characters, surrogates and bidirectional marks go; white space and line
    breaks are folded to single spaces; dots and spaces at either end go (hidden files, Windows). Letters of every
    script stay, composed (NFC). A name that is too long loses characters before its suffix. What is left empty becomes
    "recording".
    """
    last_part = re.split(r"[/\\]", name)[-1]
    kept = "".join(
        " " if char.isspace() else char
        for char in unicodedata.normalize("NFC", last_part)
        if char.isspace() or not _is_dropped(char)
    )
    tidy = " ".join(kept.split()).strip(". ")
    return _shorten(tidy) or FALLBACK_NAME


def content_disposition(name: str) -> str:
    """`attachment` with `name` for every client (RFC 6266): an ASCII form, and UTF-8 where the name needs it."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    ascii_name = re.sub(r'[^ -~]|["\\%]', "_", ascii_name)
    if not ascii_name.strip("._ ") or ascii_name.startswith("."):
        ascii_name = FALLBACK_NAME + ascii_name.strip(" ")
    header = f'attachment; filename="{ascii_name}"'
    if ascii_name != name:
        header += f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
    return header


def _is_dropped(char: str) -> bool:
    return char in _DIRECTION_MARKS or unicodedata.category(char) in _DROPPED_CATEGORIES


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    room = MAX_NAME_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + suffix

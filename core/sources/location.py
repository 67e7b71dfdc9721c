"""Where recordings lie in an object store: `s3://bucket/prefix`. Pure; the settings name those that may be read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from core.object_keys import RESERVED_PREFIXES

SCHEME = "s3://"
MAX_KEY_BYTES = 1024  # S3's own limit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Location:
    """A bucket, and what the keys meant in it begin with; of a single object, its key."""

    bucket: str
    prefix: str  # empty: everything

    @property
    def url(self) -> str:
        """As `parse_location` reads it."""
        return f"{SCHEME}{self.bucket}/{quote(self.prefix)}"

    @property
    def folder(self) -> str:
        """The prefix up to its last slash."""
        return self.prefix[: self.prefix.rfind("/") + 1]

    def holds(self, other: Location) -> bool:
        """True when all that begins like `other` also begins like this one."""
        return self.bucket == other.bucket and other.prefix.startswith(self.prefix)

    def reaches_reserved(self, own_bucket: str) -> bool:
        """True when keys that begin so can be Limpid's own, in its `own_bucket`: recordings and results of others."""
        if self.bucket != own_bucket:
            return False
        return any(self.prefix.startswith(own) or own.startswith(self.prefix) for own in RESERVED_PREFIXES)


def is_location(url: str) -> bool:
    """True for what `parse_location` is for."""
    return url.startswith(SCHEME)


def parse_location(text: str) -> Location:
    """The location that `s3://bucket/prefix` names, percent-encoded where need be; ValueError when it is none."""
    if not is_location(text):
        raise ValueError(f"{text[:100]!r} is no s3://bucket/prefix.")
    bucket, slash, prefix = text.removeprefix(SCHEME).partition("/")
    if not slash or not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{text[:100]!r} does not name a bucket and a prefix: s3://bucket/prefix.")
    try:
        decoded = unquote(prefix, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"The prefix of {text[:100]!r} is not UTF-8.") from None
    if "\0" in decoded or len(decoded.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"The prefix of {text[:100]!r} is no key: at most {MAX_KEY_BYTES} bytes, and no NUL.")
    return Location(bucket=bucket, prefix=decoded)


def parse_sources(parts: Iterable[str]) -> tuple[Location, ...]:
    """The locations that an operator allows; ValueError for one that is none, or that ends within a name.

    `s3://bucket/team` would allow `s3://bucket/team-of-others/` too.
    """
    sources = tuple(parse_location(part.strip()) for part in parts if part.strip())
    for source in sources:
        if source.prefix != source.folder:
            raise ValueError(f"{source.url} must end in a slash.")
    return sources

"""A file that a run made, still in its workspace."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ProducedFile:
    """One output or picture, and what is stored of it."""

    path: Path
    name: str
    role: str
    media_type: str
    bytes: int
    sha256: str


def describe_file(path: Path, *, name: str, role: str, media_type: str) -> ProducedFile:
    """The finished file at `path`, read once for its SHA-256."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ProducedFile(
        path=path, name=name, role=role, media_type=media_type, bytes=path.stat().st_size, sha256=sha256
    )

"""In-memory adapters of the ports of core.access and core.intake; held to the same contracts as the real ones."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from core.access.keys import ApiKey
from core.errors import Conflict, NotFound


class FakeKeyRepository:
    """API keys in a dictionary."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey, *, token_sha256: str) -> None:
        self._keys[token_sha256] = key

    def find(self, token_sha256: str) -> ApiKey | None:
        return self._keys.get(token_sha256)

    def list(self) -> Sequence[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: key.id)

    def revoke(self, prefix: str, *, now: datetime) -> ApiKey:
        found: builtins.list[str] = [digest for digest, key in self._keys.items() if prefix in (key.id, key.prefix)]
        if not found:
            raise NotFound(f"There is no key {prefix!r}.")
        if len(found) > 1:
            raise Conflict(f"Several keys begin with {prefix!r}. Give the id of one.")
        key = self._keys[found[0]]
        self._keys[found[0]] = replace(key, revoked_at=key.revoked_at or now)
        return self._keys[found[0]]

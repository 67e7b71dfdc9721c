"""Who may do what: API keys, their scopes, and the caller that a request comes from."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from core.errors import Unauthenticated
from core.ids import new_id

logger = logging.getLogger(__name__)

TOKEN_MARK = "lmp_"  # so that people and secret scanners know one when they see it
TOKEN_RANDOM_BYTES = 32
PREFIX_CHARACTERS = 12  # of the token, mark included: enough to tell keys apart, far too few to guess the rest


class Scope(StrEnum):
    """What a key allows."""

    SUBMIT = "submit"  # submit, cancel and delete jobs of its own
    READ = "read"  # follow, list and fetch jobs of its own
    METRICS = "metrics"  # read /metrics, and nothing else
    ADMIN = "admin"  # everything, on every key's jobs


class Owned(Protocol):
    """A job, an upload: what belongs to the key that made it."""

    @property
    def owner(self) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as it is stored: never the token itself."""

    id: str
    name: str  # the operator's, for people
    prefix: str  # the token's first characters
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whom a request comes from. `owner` is the key's id, None where authentication is off."""

    owner: str | None
    scopes: frozenset[Scope]

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    def may(self, scope: Scope) -> bool:
        """True when the key has the scope, or is an administrator's."""
        return self.is_admin or scope in self.scopes

    def sees(self, thing: Owned) -> bool:
        """True for the key's own jobs and uploads; an administrator sees all."""
        return self.is_admin or (self.owner is not None and thing.owner == self.owner)


ANYONE = Caller(owner=None, scopes=frozenset(Scope))
"""The caller of every request while authentication is off."""


class KeyRepository(Protocol):
    """API keys in the database, found by the hash of their token."""

    def add(self, key: ApiKey, *, token_sha256: str) -> None: ...

    def find(self, token_sha256: str) -> ApiKey | None:
        """The key with this token, revoked or not; None when there is none."""
        ...

    def list(self) -> Sequence[ApiKey]:
        """Every key, the oldest first."""
        ...

    def revoke(self, prefix: str, *, now: datetime) -> ApiKey:
        """End the key with this id or prefix; NotFound, or Conflict when several keys have the prefix."""
        ...


def hash_of(token: str) -> str:
    """What is stored of a token.

    A plain SHA-256 is enough: with 256 random bits there is nothing to guess, so nothing for a slow hash to slow down.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def create_key(name: str, scopes: Collection[Scope], *, keys: KeyRepository, now: datetime) -> tuple[ApiKey, str]:
    """A new key and its token, which can be shown now and never again."""
    token = TOKEN_MARK + secrets.token_urlsafe(TOKEN_RANDOM_BYTES)
    key = ApiKey(id=new_id(), name=name, prefix=token[:PREFIX_CHARACTERS], scopes=frozenset(scopes), created_at=now)
    keys.add(key, token_sha256=hash_of(token))
    logger.info("key_created", extra={"key_id": key.id, "scopes": ",".join(sorted(key.scopes))})
    return key, token


def authenticate(token: str, *, keys: KeyRepository) -> Caller:
    """The caller with this token; Unauthenticated when there is no such key, or no longer.

    The token is found by its hash, so that the time of the comparison tells nothing about it.
    """
    key = keys.find(hash_of(token))
    if key is None or key.revoked_at is not None:
        raise Unauthenticated("The API key is unknown or revoked.")
    return Caller(owner=key.id, scopes=key.scopes)

"""KeyRepository on SQLAlchemy: SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, or_, select

from core.access.keys import ApiKey, Scope
from core.database import read_session, write_session
from core.errors import Conflict, NotFound
from core.tables import ApiKeyRow


class SqlKeyRepository:
    """API keys in a database. Share one per process; it may be used from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, key: ApiKey, *, token_sha256: str) -> None:
        """Store a new key."""
        row = ApiKeyRow(
            id=key.id,
            name=key.name,
            prefix=key.prefix,
            token_sha256=token_sha256,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            revoked_at=key.revoked_at,
        )
        with write_session(self._engine) as session:
            session.add(row)

    def find(self, token_sha256: str) -> ApiKey | None:
        """The key with this token, revoked or not."""
        with read_session(self._engine) as session:
            row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.token_sha256 == token_sha256))
            return None if row is None else _key_of(row)

    def list(self) -> Sequence[ApiKey]:
        """Every key, the oldest first."""
        with read_session(self._engine) as session:
            return [_key_of(row) for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id))]

    def revoke(self, prefix: str, *, now: datetime) -> ApiKey:
        """End the key with this id or prefix. Revoking it again changes nothing."""
        query = select(ApiKeyRow).where(or_(ApiKeyRow.id == prefix, ApiKeyRow.prefix == prefix)).with_for_update()
        with write_session(self._engine) as session:
            rows = session.scalars(query).all()
            if not rows:
                raise NotFound(f"There is no key {prefix!r}.")
            if len(rows) > 1:
                raise Conflict(f"Several keys begin with {prefix!r}. Give the id of one.")
            rows[0].revoked_at = rows[0].revoked_at or now
            return _key_of(rows[0])


def _key_of(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(map(Scope, row.scopes)),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )

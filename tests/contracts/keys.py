"""What every KeyRepository must do: run against the fake, SQLite and Postgres."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.access.keys import KeyRepository, Scope, authenticate, create_key, hash_of
from core.errors import Conflict, NotFound, Unauthenticated
from core.ids import new_id
from tests.factories import NOON
from tests.fixed_ids import UNKNOWN_ID

LATER = NOON + timedelta(hours=1)


class KeyContract:
    """The rules, one behaviour each; the fixture `keys` is the subclass's."""

    def test_a_key_is_found_by_its_token(self, keys: KeyRepository) -> None:
        key, token = create_key("radio", [Scope.SUBMIT, Scope.READ], keys=keys, now=NOON)
        create_key("other", [Scope.READ], keys=keys, now=NOON)

        assert keys.find(hash_of(token)) == key
        assert keys.find(hash_of(token + "x")) is None
        assert keys.find(token) is None

    def test_keys_are_listed_from_the_oldest(self, keys: KeyRepository) -> None:
        made = [create_key(name, [Scope.READ], keys=keys, now=NOON)[0] for name in ("a", "ä" * 300, "c")]

        assert keys.list() == made

    @pytest.mark.parametrize("by", ["id", "prefix"])
    def test_a_revoked_key_stays_on_record_and_lets_nobody_in(self, keys: KeyRepository, by: str) -> None:
        key, token = create_key("radio", [Scope.READ], keys=keys, now=NOON)
        assert authenticate(token, keys=keys).owner == key.id

        revoked = keys.revoke(getattr(key, by), now=LATER)

        assert revoked == replace(key, revoked_at=LATER)
        assert keys.list() == [revoked]
        assert keys.revoke(key.id, now=LATER + timedelta(hours=1)).revoked_at == LATER
        with pytest.raises(Unauthenticated):
            authenticate(token, keys=keys)

    @pytest.mark.parametrize("prefix", [UNKNOWN_ID, "", "lmp_", "%", "lmp_%"])
    def test_revoking_what_is_no_key_is_not_found(self, keys: KeyRepository, prefix: str) -> None:
        create_key("radio", [Scope.READ], keys=keys, now=NOON)

        with pytest.raises(NotFound):
            keys.revoke(prefix, now=LATER)

    def test_a_prefix_of_several_keys_revokes_none(self, keys: KeyRepository) -> None:
        key, token = create_key("radio", [Scope.READ], keys=keys, now=NOON)
        keys.add(replace(key, id=new_id()), token_sha256=hash_of("another"))

        with pytest.raises(Conflict):
            keys.revoke(key.prefix, now=LATER)

        assert authenticate(token, keys=keys).owner == key.id

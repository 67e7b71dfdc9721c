"""API keys: what a token is, and what a caller may."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from core.access.keys import ANYONE, Caller, Scope, authenticate, create_key, hash_of
from core.access.keys_sql import SqlKeyRepository
from core.errors import Unauthenticated
from tests.access_fakes import FakeKeyRepository
from tests.contracts.keys import KeyContract
from tests.factories import NOON, make_job


class TestFakeKeyRepository(KeyContract):
    """The fake obeys the contract, so that tests on it mean something."""

    @pytest.fixture
    def keys(self) -> FakeKeyRepository:
        return FakeKeyRepository()


class TestSqliteKeyRepository(KeyContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def keys(self, sqlite_engine: Engine) -> SqlKeyRepository:
        return SqlKeyRepository(sqlite_engine)


def test_tokens_are_long_random_and_recognizable() -> None:
    keys = FakeKeyRepository()

    made = [create_key("k", [Scope.READ], keys=keys, now=NOON) for _ in range(50)]

    tokens = {token for _, token in made}
    assert len(tokens) == 50
    assert all(token.startswith("lmp_") and len(token) >= 4 + 43 for token in tokens)
    assert all(token.startswith(key.prefix) and len(key.prefix) == 12 for key, token in made)


def test_stored_key_does_not_hold_its_token() -> None:
    keys = FakeKeyRepository()

    _, token = create_key("k", [Scope.READ], keys=keys, now=NOON)

    assert token not in repr(vars(keys))
    assert hash_of(token) in repr(vars(keys))


@pytest.mark.parametrize("token", ["", "lmp_", "lmp_" + "A" * 43, "\udcff".encode("utf-8", "replace").decode()])
def test_unknown_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        authenticate(token, keys=FakeKeyRepository())


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [({Scope.READ}, {Scope.READ}), ({Scope.SUBMIT}, {Scope.SUBMIT}), ({Scope.ADMIN}, set(Scope)), (set(), set())],
)
def test_scope_allows_itself_and_admin_everything(scopes: set[Scope], allowed: set[Scope]) -> None:
    caller = Caller(owner="k", scopes=frozenset(scopes))

    assert {scope for scope in Scope if caller.may(scope)} == allowed


def test_key_sees_its_own_jobs_and_an_administrator_all() -> None:
    mine, theirs, nobodys = make_job(owner="k"), make_job(owner="x"), make_job()
    key, admin = Caller(owner="k", scopes=frozenset({Scope.READ})), Caller(owner="a", scopes=frozenset({Scope.ADMIN}))

    assert [key.sees(job) for job in (mine, theirs, nobodys)] == [True, False, False]
    assert all(caller.sees(job) for caller in (admin, ANYONE) for job in (mine, theirs, nobodys))


def test_caller_without_owner_does_not_own_the_jobs_that_nobody_owns() -> None:
    assert not Caller(owner=None, scopes=frozenset({Scope.READ})).sees(make_job())

"""What every IdempotencyRepository must do: run against the fake, SQLite and Postgres."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.errors import IdempotencyInFlight
from core.idempotency import LOCK_S, TTL_S, IdempotencyRecord, IdempotencyRepository
from core.ids import new_id
from tests.contracts.repository import THREADS, after, outcomes_of
from tests.factories import NOON

OWNER = "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


def completed(record: IdempotencyRecord) -> IdempotencyRecord:
    """The record with a reply."""
    return replace(record, fingerprint="f" * 64, job_id=new_id(), status=202, body='{"id": "ä"}')


class IdempotencyContract:
    """The rules, one behaviour each; the fixture `keys` is the subclass's."""

    def test_a_new_key_is_locked(self, keys: IdempotencyRepository) -> None:
        record = keys.begin(OWNER, "k", now=NOON)

        assert (record.owner, record.key, record.is_complete, record.job_id) == (OWNER, "k", False, None)
        with pytest.raises(IdempotencyInFlight):
            keys.begin(OWNER, "k", now=after(LOCK_S - 1))

    def test_keys_of_other_owners_are_other_keys(self, keys: IdempotencyRepository) -> None:
        keys.begin(OWNER, "k", now=NOON)

        assert not keys.begin("", "k", now=NOON).is_complete
        assert not keys.begin(OWNER, "K", now=NOON).is_complete

    def test_a_complete_record_is_returned_again_and_again(self, keys: IdempotencyRepository) -> None:
        record = completed(keys.begin(OWNER, "k", now=NOON))

        keys.complete(record)

        assert keys.begin(OWNER, "k", now=after(1)) == record
        assert keys.begin(OWNER, "k", now=after(TTL_S - 1)) == record

    def test_a_record_expires(self, keys: IdempotencyRepository) -> None:
        keys.complete(completed(keys.begin(OWNER, "k", now=NOON)))

        again = keys.begin(OWNER, "k", now=after(TTL_S))

        assert (again.is_complete, again.fingerprint) == (False, None)

    def test_an_extended_lock_holds_longer(self, keys: IdempotencyRepository) -> None:
        record = keys.begin(OWNER, "k", now=NOON)

        keys.extend(record, now=after(100))

        with pytest.raises(IdempotencyInFlight):
            keys.begin(OWNER, "k", now=after(100 + LOCK_S - 1))

    def test_a_lock_that_ran_out_passes_on_what_was_fixed(self, keys: IdempotencyRepository) -> None:
        record = replace(keys.begin(OWNER, "k", now=NOON), fingerprint="f" * 64, job_id=new_id())
        keys.fix(record, now=after(10))
        with pytest.raises(IdempotencyInFlight):
            keys.begin(OWNER, "k", now=after(LOCK_S + 9))

        successor = keys.begin(OWNER, "k", now=after(LOCK_S + 10))

        assert (successor.fingerprint, successor.job_id) == (record.fingerprint, record.job_id)
        for write in (keys.complete, lambda late: keys.fix(late, now=NOON), lambda late: keys.extend(late, now=NOON)):
            with pytest.raises(IdempotencyInFlight):
                write(completed(record))
        keys.unlock(record)
        with pytest.raises(IdempotencyInFlight):
            keys.begin(OWNER, "k", now=after(LOCK_S + 11))

    def test_an_unlocked_key_can_be_tried_again_at_once(self, keys: IdempotencyRepository) -> None:
        keys.unlock(keys.begin(OWNER, "k", now=NOON))

        assert not keys.begin(OWNER, "k", now=NOON).is_complete

    def test_only_what_has_expired_is_purged(self, keys: IdempotencyRepository) -> None:
        keys.complete(completed(keys.begin(OWNER, "old", now=NOON)))
        kept = completed(keys.begin(OWNER, "new", now=after(10)))
        keys.complete(kept)

        assert keys.purge(now=after(TTL_S)) == 1
        assert keys.purge(now=after(TTL_S)) == 0
        assert keys.begin(OWNER, "new", now=after(TTL_S)) == kept

    @pytest.mark.parametrize("race", range(3))
    def test_one_of_many_requests_gets_the_lock(self, keys: IdempotencyRepository, race: int) -> None:
        outcomes = outcomes_of([lambda: keys.begin(OWNER, f"race {race}", now=NOON)] * THREADS)

        refused = [outcome for outcome in outcomes if isinstance(outcome, IdempotencyInFlight)]
        assert len(refused) == THREADS - 1

    def test_a_lock_outlives_nothing_but_its_time(self, keys: IdempotencyRepository) -> None:
        first = keys.begin(OWNER, "k", now=NOON)

        second = keys.begin(OWNER, "k", now=NOON + timedelta(seconds=LOCK_S))

        assert first.token != second.token

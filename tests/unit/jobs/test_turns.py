"""Whose job is next: the contract on the fake and on SQLite, and the rule by itself."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from core.repository_sql import SqlJobRepository
from core.turns import Share, Turn, next_turn, position
from tests.contracts.turns import KEY_MAX_RUNNING, TurnsContract
from tests.factories import NOON
from tests.fakes import FakeJobRepository


class TestFake(TurnsContract):
    """The fake obeys the contract, so that tests on it mean something."""

    @pytest.fixture
    def repository(self) -> FakeJobRepository:
        return FakeJobRepository(key_max_running=KEY_MAX_RUNNING)


class TestSqlite(TurnsContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def repository(self, sqlite_engine: Engine) -> SqlJobRepository:
        return SqlJobRepository(sqlite_engine, key_max_running=KEY_MAX_RUNNING)


def test_nobody_is_next_in_an_empty_queue() -> None:
    assert next_turn([]) is None


@pytest.mark.parametrize(
    ("other", "is_other_next"),
    [
        (Turn(job_id="a", owner="x", running_here=1), True),
        (Turn(job_id="c", owner="x", running_here=0, last_started_at=NOON), True),
        (Turn(job_id="a", owner="x", running_here=2), False),
        (Turn(job_id="a", owner="x", running_here=1, last_started_at=NOON), True),
        (Turn(job_id="c", owner="x", running_here=1, last_started_at=NOON), False),
        (Turn(job_id="a", owner="x", running_here=1, last_started_at=NOON + timedelta(seconds=1)), False),
    ],
)
def test_fewest_running_then_longest_ago_then_oldest(other: Turn, is_other_next: bool) -> None:
    mine = Turn(job_id="b", owner="y", running_here=1, last_started_at=NOON)

    assert next_turn([mine, other]) == (other if is_other_next else mine)


def test_limit_counts_runs_in_all_queues_and_holds_only_keys() -> None:
    limited = Turn(job_id="a", owner="x", running=1)
    free = Turn(job_id="b", owner=None, running=5, running_here=5)

    assert next_turn([limited, free], key_max_running=1) == free
    assert next_turn([limited], key_max_running=1) is None
    assert next_turn([limited]) == limited


@pytest.mark.parametrize("seed", range(20))
def test_position_is_the_order_that_the_rule_gives_when_nothing_ends(seed: int) -> None:
    rng = random.Random(seed)
    owners = "abcd"
    running = {owner: rng.randrange(4) for owner in owners}
    waiting = {f"{number:02}": rng.choice(owners) for number in range(30)}

    taken, left, now_running = [], dict(waiting), dict(running)
    while left:
        heads = {owner: job_id for job_id, owner in reversed(left.items())}
        turns = [Turn(job_id=job_id, owner=owner, running_here=now_running[owner]) for owner, job_id in heads.items()]
        turn = next_turn(turns)
        assert turn is not None
        now_running[left.pop(turn.job_id)] += 1
        taken.append(turn.job_id)

    for job_id, owner in waiting.items():
        shares = {
            each: Share(
                waiting=sum(other == each for other in waiting.values()),
                waiting_before=sum(other == each and other_id < job_id for other_id, other in waiting.items()),
                running=running[each],
            )
            for each in owners
        }
        own = shares.pop(owner)
        assert position(own, [*shares.values()]) == taken.index(job_id)

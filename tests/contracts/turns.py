"""How owners share a queue: run against the fake, SQLite and Postgres."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from core.ids import new_id
from core.jobs import Device, Job, JobStatus, Lane
from tests.contracts.repository import LEASE_S, THREADS, Repository, after, claim, outcomes_of, succeed, token_of
from tests.factories import NOON, make_job

KEY_MAX_RUNNING = 2


def submit(repository: Repository, owner: str | None, *, lane: Lane = Lane.INTERACTIVE) -> Job:
    """A queued job of `owner`."""
    job = make_job(owner=owner, lane=lane)
    repository.add(job)
    return job


def take(repository: Repository, message: Job, *, at_s: float = 0.0) -> Job:
    """What a worker begins that gets the message of this job."""
    run = repository.claim(message.id, worker="w", lease_s=LEASE_S, now=after(at_s))
    assert run is not None
    return run


class TurnsContract:
    """The rules; `repository` is the subclass's, and lets KEY_MAX_RUNNING jobs of a key run."""

    @pytest.fixture
    def flood(self) -> str:
        """The owner of many jobs."""
        return new_id()

    @pytest.fixture
    def few(self) -> str:
        """The owner of few."""
        return new_id()

    def test_jobs_of_one_owner_run_in_their_order_whichever_message_comes(self, repository: Repository) -> None:
        jobs = [submit(repository, None) for _ in range(3)]

        taken = [take(repository, message) for message in reversed(jobs)]

        assert [run.id for run in taken] == [job.id for job in jobs]

    def test_the_owner_with_fewer_jobs_running_comes_first(self, repository: Repository, flood: str, few: str) -> None:
        many = [submit(repository, flood) for _ in range(3)]
        one = submit(repository, few)

        taken = [take(repository, message) for message in many]

        assert [run.id for run in taken] == [many[0].id, one.id, many[1].id]

    def test_one_worker_goes_round_the_owners(self, repository: Repository, flood: str, few: str) -> None:
        many = [submit(repository, flood) for _ in range(4)]
        others = [submit(repository, few) for _ in range(2)]

        taken = []
        for second, message in enumerate([*many, *others]):
            run = take(repository, message, at_s=second)
            succeed(repository, run, at_s=second + 0.5)
            taken.append(run.id)

        assert taken == [job.id for job in (many[0], others[0], many[1], others[1], many[2], many[3])]

    def test_jobs_of_other_queues_count_for_nothing(self, repository: Repository, flood: str, few: str) -> None:
        take(repository, submit(repository, few, lane=Lane.BULK))
        take(repository, submit(repository, flood))
        later = submit(repository, flood)
        mine = submit(repository, few)

        assert take(repository, later).id == mine.id

    def test_a_message_takes_nothing_of_another_queue(self, repository: Repository) -> None:
        submit(repository, None, lane=Lane.BULK)
        gpu = make_job(device=Device.GPU)
        repository.add(gpu)
        ended = submit(repository, None)
        repository.request_cancel(ended.id, now=NOON)

        assert repository.claim(ended.id, worker="w", lease_s=LEASE_S, now=NOON) is None

    def test_a_message_whose_job_has_ended_takes_another_that_waits(self, repository: Repository) -> None:
        ended, waiting = submit(repository, None), submit(repository, None)
        repository.request_cancel(ended.id, now=NOON)

        assert take(repository, ended).id == waiting.id

    def test_an_owner_at_its_limit_is_passed_over(self, repository: Repository, flood: str, few: str) -> None:
        many = [submit(repository, flood) for _ in range(KEY_MAX_RUNNING + 1)]
        for job in many[:KEY_MAX_RUNNING]:
            take(repository, job)
        others = [submit(repository, few) for _ in range(KEY_MAX_RUNNING)]

        taken = [take(repository, message).id for message in (many[-1], others[0])]

        assert taken == [job.id for job in others]
        assert repository.claim(others[1].id, worker="w", lease_s=LEASE_S, now=NOON) is None
        assert repository.get(many[-1].id).status is JobStatus.QUEUED

    def test_a_job_whose_message_went_to_another_is_sent_again(self, repository: Repository, flood: str) -> None:
        jobs = [submit(repository, flood) for _ in range(KEY_MAX_RUNNING + 1)]
        for job in jobs:
            repository.mark_sent(job.id, now=NOON)
        take(repository, jobs[2])
        take(repository, jobs[1])

        assert repository.claim(jobs[0].id, worker="w", lease_s=LEASE_S, now=NOON) is None

        assert [job.id for job in repository.sweep(now=after(10)).to_send] == [jobs[2].id]

    def test_a_job_that_was_put_off_waits_for_its_time(self, repository: Repository) -> None:
        put_off, other, last = (submit(repository, None) for _ in range(3))
        run = claim(repository, put_off)
        repository.release(
            run.id, lease_token=token_of(run), now=after(1), counts_as_attempt=True, retry_after_s=LEASE_S
        )

        assert take(repository, put_off, at_s=2).id == other.id
        assert take(repository, last, at_s=1 + LEASE_S).id == put_off.id

    def test_a_lost_run_is_taken_over_before_any_turn(self, repository: Repository, flood: str, few: str) -> None:
        lost = take(repository, submit(repository, flood))
        submit(repository, few)

        assert take(repository, lost, at_s=LEASE_S).id == lost.id

    def test_workers_at_once_take_different_jobs(self, repository: Repository) -> None:
        jobs = [submit(repository, None) for _ in range(THREADS // 2)]

        runs = outcomes_of(
            [lambda: repository.claim(jobs[0].id, worker="w", lease_s=LEASE_S, now=NOON) for _ in range(THREADS)]
        )

        assert Counter(run.id for run in runs if run is not None) == Counter(job.id for job in jobs)

    def test_queue_position_is_the_order_in_which_jobs_are_taken(
        self, repository: Repository, flood: str, few: str
    ) -> None:
        third = new_id()
        take(repository, submit(repository, flood))
        jobs = [submit(repository, owner) for owner in (flood, flood, few, third, flood, few, third)]

        positions = [repository.queue_position(job) for job in jobs]

        assert sorted(positions) == list(range(len(jobs)))
        by_position = [jobs[positions.index(place)].id for place in range(len(jobs))]
        assert by_position[:2] == [jobs[2].id, jobs[3].id]  # the flood has one running
        unlimited = [job.id for job in jobs if job.owner != flood]
        assert [job_id for job_id in by_position if job_id in unlimited] == unlimited
        taken = [take(repository, message).id for message in jobs[:4]]
        assert taken == by_position[:4]

    def test_a_flood_does_not_keep_an_owner_waiting_for_ever(
        self, repository: Repository, flood: str, few: str
    ) -> None:
        patient = submit(repository, few)
        start = NOON + timedelta(seconds=1)
        for _ in range(3):
            newer = submit(repository, flood)
            run = repository.claim(newer.id, worker="w", lease_s=LEASE_S, now=start)
            assert run is not None
            succeed(repository, replace(run, lease_token=token_of(run)))
            if run.id == patient.id:
                return
        pytest.fail("the older job was never taken")

"""What the database must tell of worker processes and queues: run against SQLite and Postgres."""

from __future__ import annotations

import pytest

from core.fleet.fleet_sql import SqlFleet
from core.fleet.queue_state import LIVE_S, QueueState
from core.jobs import Device, Lane
from core.queue import JOB_QUEUES
from core.repository_sql import SqlJobRepository
from tests.contracts.repository import after, claim, token_of
from tests.factories import NOON, make_job

KEY_MAX_RUNNING = 1


class FleetContract:
    """The fixtures `repository` and `fleet`, which looks at its jobs, are the subclass's."""

    def state(self, fleet: SqlFleet, lane: Lane = Lane.INTERACTIVE, *, at_s: float = 0.0) -> QueueState:
        [found] = [state for state in fleet.states(now=after(at_s)) if (state.device, state.lane) == (Device.CPU, lane)]
        return found

    def test_every_queue_has_a_state_and_nothing_waits_at_first(self, fleet: SqlFleet) -> None:
        states = fleet.states(now=NOON)

        assert [state.name for state in states] == [*JOB_QUEUES]
        assert {(state.waiting, state.running, state.workers, state.waiting_since) for state in states} == {
            (0, 0, 0, None)
        }

    def test_jobs_are_counted_in_their_queue(self, repository: SqlJobRepository, fleet: SqlFleet) -> None:
        jobs = [make_job(lane=lane) for lane in (Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.INTERACTIVE, Lane.BULK)]
        for job in jobs:
            repository.add(job)
        claim(repository, jobs[0])

        interactive, bulk = self.state(fleet), self.state(fleet, Lane.BULK)

        assert (interactive.waiting, interactive.running) == (2, 1)
        assert (bulk.waiting, bulk.running) == (1, 0)

    def test_the_oldest_job_that_may_run_says_since_when_the_queue_waits(
        self, repository: SqlJobRepository, fleet: SqlFleet
    ) -> None:
        for at_s in (30, 60):
            repository.add(make_job(created_at=after(at_s)))

        assert self.state(fleet, at_s=90).waiting_since == after(30)
        assert self.state(fleet, at_s=90).oldest_age_s(now=after(90)) == 60

    def test_a_job_that_was_given_back_waits_since_then(self, repository: SqlJobRepository, fleet: SqlFleet) -> None:
        job = make_job()
        repository.add(job)
        run = claim(repository, job)
        repository.release(run.id, lease_token=token_of(run), now=after(600), counts_as_attempt=False)

        assert self.state(fleet, at_s=601).waiting_since == after(600)

    def test_a_job_that_is_put_off_waits_for_no_worker(self, repository: SqlJobRepository, fleet: SqlFleet) -> None:
        job = make_job()
        repository.add(job)
        run = claim(repository, job)
        repository.release(run.id, lease_token=token_of(run), now=NOON, counts_as_attempt=True, retry_after_s=300)

        assert (self.state(fleet, at_s=1).waiting, self.state(fleet, at_s=1).waiting_since) == (1, None)
        assert self.state(fleet, at_s=301).waiting_since == after(300)

    def test_what_a_keys_limit_holds_back_waits_for_no_worker(
        self, repository: SqlJobRepository, fleet: SqlFleet
    ) -> None:
        first, second = make_job(owner="key-1"), make_job(owner="key-1")
        repository.add(first)
        repository.add(second)
        claim(repository, first)

        assert (self.state(fleet).waiting, self.state(fleet).waiting_since) == (1, None)

    def test_a_process_serves_its_queues_while_it_says_so(self, fleet: SqlFleet) -> None:
        fleet.beat("host:1", queues=["cpu.interactive", "cpu.bulk"], idle_since=NOON, now=NOON)
        fleet.beat("host:2", queues=["cpu.interactive"], idle_since=None, now=NOON)

        assert (self.state(fleet).workers, self.state(fleet, Lane.BULK).workers) == (2, 1)
        assert self.state(fleet, at_s=LIVE_S - 1).workers == 2
        assert self.state(fleet, at_s=LIVE_S).workers == 0

    def test_a_later_beat_replaces_the_one_before(self, fleet: SqlFleet) -> None:
        fleet.beat("host:1", queues=["cpu.interactive"], idle_since=NOON, now=NOON)
        fleet.beat("host:1", queues=["cpu.bulk"], idle_since=None, now=after(30))

        assert self.state(fleet, at_s=40).workers == 0
        assert (self.state(fleet, Lane.BULK, at_s=40).workers, self.state(fleet, Lane.BULK, at_s=40).idle_since) == (
            1,
            None,
        )

    def test_the_process_that_is_idle_for_longest_counts(self, fleet: SqlFleet) -> None:
        for name, idle_since in (("host:1", after(5)), ("host:2", NOON), ("host:3", None)):
            fleet.beat(name, queues=["cpu.interactive"], idle_since=idle_since, now=after(10))

        assert self.state(fleet, at_s=10).idle_since == NOON

    def test_installed_is_what_every_live_worker_of_the_device_has(self, fleet: SqlFleet) -> None:
        everything = {"idle_since": None, "now": NOON}
        fleet.beat("host:1", queues=["cpu.interactive"], models=["a", "b"], **everything)
        fleet.beat("host:2", queues=["cpu.bulk"], models=["b", "c"], **everything)
        fleet.beat("host:3", queues=["maintenance"], models=[], **everything)
        fleet.beat("host:4", queues=["cpu.bulk"], **everything)  # of an earlier version: it does not say

        assert fleet.models(Device.CPU, now=after(1)) == {"b"}
        assert fleet.models(Device.GPU, now=after(1)) is None
        assert fleet.models(Device.CPU, now=after(LIVE_S)) is None

    def test_a_process_that_ends_is_forgotten_at_once(self, fleet: SqlFleet) -> None:
        fleet.beat("host:1", queues=["cpu.interactive"], idle_since=NOON, now=NOON)

        fleet.forget("host:1")

        assert self.state(fleet).workers == 0

    @pytest.mark.parametrize(("before_s", "purged"), [(0, 0), (1, 1)])
    def test_processes_that_died_long_ago_are_forgotten(self, fleet: SqlFleet, before_s: int, purged: int) -> None:
        fleet.beat("host:1", queues=[], idle_since=NOON, now=NOON)

        assert fleet.purge(before=after(before_s)) == purged

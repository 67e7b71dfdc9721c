"""What the database must tell of the load of a device's workers: run against SQLite and Postgres."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.estimation.queue_load import QueueLoad, WaitingJobs
from core.estimation.queue_load_sql import SqlQueueLoads
from core.fleet.fleet_sql import SqlFleet
from core.fleet.queue_state import LIVE_S
from core.jobs import Device, Job, Lane, Progress, Stage
from core.repository_sql import SqlJobRepository
from tests.contracts.repository import after, claim, token_of
from tests.factories import NOON, make_job


def recording(duration_s: float | None, **changes: Any) -> Job:  # noqa: ANN401 - fields of Job
    job = make_job(**changes)
    return replace(job, input=replace(job.input, duration_s=duration_s))


class QueueLoadContract:
    """The fixtures `repository`, `fleet` and `loads`, over the same rows, are the subclass's."""

    def test_there_is_nothing_at_first(self, loads: SqlQueueLoads) -> None:
        assert loads.load(Device.CPU, now=NOON) == QueueLoad(workers=dict.fromkeys(Lane, 0))

    def test_waiting_jobs_are_counted_by_lane_and_preset(
        self, repository: SqlJobRepository, loads: SqlQueueLoads
    ) -> None:
        for job in (
            recording(10.0, preset="speech"),
            recording(None, preset="speech"),
            recording(30.0, preset="high"),
            recording(7.0, preset="speech", lane=Lane.BULK),
            recording(9.0, preset="speech", device=Device.GPU),
        ):
            repository.add(job)

        assert loads.load(Device.CPU, now=NOON).waiting == {
            Lane.INTERACTIVE: [
                WaitingJobs(preset="high", count=1, measured=1, audio_s=30.0),
                WaitingJobs(preset="speech", count=2, measured=1, audio_s=10.0),
            ],
            Lane.BULK: [WaitingJobs(preset="speech", count=1, measured=1, audio_s=7.0)],
        }

    def test_what_runs_tells_what_is_left_of_it(self, repository: SqlJobRepository, loads: SqlQueueLoads) -> None:
        jobs = [make_job() for _ in range(3)]
        for job in jobs:
            repository.add(job)
        for job, eta_s in zip(jobs[:2], (2.5, 4.0), strict=True):
            run = claim(repository, job)
            repository.report_progress(
                run.id,
                lease_token=token_of(run),
                stage=Stage.ENHANCE,
                progress=Progress(fraction=0.5, eta_s=eta_s),
            )
        claim(repository, jobs[2])  # it has not said anything yet

        load = loads.load(Device.CPU, now=NOON)

        assert (load.running, load.running_left_s) == (3, 6.5)

    def test_live_workers_count_for_the_lanes_that_they_serve(self, fleet: SqlFleet, loads: SqlQueueLoads) -> None:
        fleet.beat("a", queues=["cpu.interactive", "cpu.bulk"], idle_since=None, now=NOON)
        fleet.beat("b", queues=["cpu.interactive"], idle_since=None, now=NOON)
        fleet.beat("c", queues=["gpu.interactive"], idle_since=None, now=NOON)

        assert loads.load(Device.CPU, now=NOON).workers == {Lane.INTERACTIVE: 2, Lane.BULK: 1}
        assert loads.load(Device.CPU, now=after(LIVE_S)).workers == {Lane.INTERACTIVE: 0, Lane.BULK: 0}

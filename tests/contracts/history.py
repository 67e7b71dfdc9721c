"""What looking at past runs must do: run against the fake, SQLite and Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from core.estimation.history import PastRun, RunHistory
from core.ids import new_id
from core.jobs import Device, Job, Progress
from tests.contracts.repository import LEASE_S, Repository, succeed, token_of
from tests.factories import make_job

NOW = datetime.now(UTC)
"""Ids hold the time that they are made, and are what recent jobs are found by."""


def run_job(repository: Repository, *, rtf: float | None, **changes: Any) -> Job:  # noqa: ANN401 - fields of Job
    job = make_job(preset="speech", created_at=NOW, **changes)
    repository.add(job)
    run = repository.claim(job.id, worker="w", lease_s=LEASE_S, now=NOW)
    assert run is not None
    progress = Progress(fraction=1.0, processed_s=10.0, duration_s=10.0, eta_s=0.0, rtf=rtf)
    succeed(repository, run, progress=progress)
    return run


class HistoryContract:
    """The fixtures `repository` and `history`, which looks at its jobs, are the subclass's."""

    def recent(self, history: RunHistory, *, now: datetime = NOW, limit: int = 10) -> list[PastRun]:
        return list(history.recent("speech", device=Device.CPU, now=now, limit=limit))

    def test_there_is_nothing_before_the_first_job(self, history: RunHistory) -> None:
        assert self.recent(history) == []

    def test_the_newest_come_first_whoever_has_asked(self, repository: Repository, history: RunHistory) -> None:
        for rtf in (0.1, 0.2, 0.3):
            run = run_job(repository, rtf=rtf, owner=new_id())

        assert self.recent(history, limit=2) == [
            PastRun(options=run.options, rtf=0.3),
            PastRun(options=run.options, rtf=0.2),
        ]

    def test_other_presets_devices_and_ends_do_not_count(self, repository: Repository, history: RunHistory) -> None:
        repository.add(make_job(preset="speech"))
        failing = make_job(preset="speech")
        repository.add(failing)
        claimed = repository.claim(failing.id, worker="w", lease_s=LEASE_S, now=NOW)
        assert claimed is not None
        repository.release(claimed.id, lease_token=token_of(claimed), now=NOW, counts_as_attempt=True)
        run_job(repository, rtf=0.1, device=Device.GPU)
        run_job(repository, rtf=None)
        deleted = run_job(repository, rtf=0.1)
        repository.delete(deleted.id, now=NOW)

        assert self.recent(history) == []
        assert list(history.recent("high", device=Device.CPU, now=NOW, limit=10)) == []

    def test_runs_of_long_ago_do_not_count(self, repository: Repository, history: RunHistory) -> None:
        run_job(repository, rtf=0.1)

        assert len(self.recent(history, now=NOW + timedelta(days=29))) == 1
        assert self.recent(history, now=NOW + timedelta(days=31)) == []

"""What watchers of a worker are told, and what its log lines belong to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from core.enhancement.progress import ProgressSink
from core.errors import InvalidAudio, StorageError
from core.jobs import Job, Progress, Stage
from core.monitoring.log_context import current_fields
from core.outbound.addresses import parse_networks
from core.outbound.client import OutboundClient
from core.webhooks.deliver import Courier
from core.webhooks.outbox import DeliveryStatus, Outcome
from core.webhooks.outbox_sql import SqlOutbox
from core.webhooks.signing import new_secret
from tests.contracts.outbox import make_delivery
from tests.contracts.repository import after
from tests.factories import NOON, make_job
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.unit.worker.bench import Bench, ScriptedPipeline
from tests.web_server import Reply, web_server
from worker.lease import utc_now
from worker.maintenance import sweep
from worker.observer import NobodyWatches, RunEnd, RunOutcome


@dataclass
class Watcher(NobodyWatches):
    """A WorkerObserver that remembers."""

    waits_s: list[float] = field(default_factory=list)
    ends: list[RunEnd] = field(default_factory=list)
    sweeps: list[tuple[int, int]] = field(default_factory=list)

    def run_started(self, job: Job, *, waited_s: float) -> None:
        self.waits_s.append(waited_s)

    def run_ended(self, end: RunEnd) -> None:
        self.ends.append(end)

    def swept(self, *, sent: int, lost: int) -> None:
        self.sweeps.append((sent, lost))


def watched(tmp_path: Path, script: Callable[[Bench, ProgressSink], None]) -> RunEnd:
    """What a watcher is told of the end of a run in whose middle `script` acts."""
    pipeline = ScriptedPipeline()
    bench = Bench(tmp_path, pipeline)
    pipeline.script = lambda on_progress: script(bench, on_progress)
    watcher = Watcher()
    bench.runner = replace(bench.runner, observer=watcher)

    bench.run()

    [end] = watcher.ends
    assert end.job.id == bench.job.id
    assert len(watcher.waits_s) == 1
    return end


def nothing(bench: Bench, on_progress: ProgressSink) -> None:
    return


def find_it_broken(bench: Bench, on_progress: ProgressSink) -> None:
    raise InvalidAudio("The header says 0 channels.")


def lose_the_store(bench: Bench, on_progress: ProgressSink) -> None:
    raise StorageError("The object store did not answer.")


def cancel(bench: Bench, on_progress: ProgressSink) -> None:
    bench.runs.request_cancel(bench.job.id, now=utc_now())


def shut_down(bench: Bench, on_progress: ProgressSink) -> None:
    bench.is_shutting_down = True
    on_progress(Stage.ENHANCE, Progress(fraction=0.5))


def lose_the_lease(bench: Bench, on_progress: ProgressSink) -> None:
    bench.runs.sweep(now=utc_now() + timedelta(days=1))


@pytest.mark.parametrize(
    ("script", "outcome", "code"),
    [
        (nothing, RunOutcome.SUCCEEDED, None),
        (find_it_broken, RunOutcome.FAILED, "invalid_audio"),
        (lose_the_store, RunOutcome.PUT_OFF, None),
        (cancel, RunOutcome.CANCELLED, None),
        (shut_down, RunOutcome.INTERRUPTED, None),
        (lose_the_lease, RunOutcome.LEASE_LOST, None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_watchers_are_told_how_each_run_ends(
    tmp_path: Path, script: Callable[[Bench, ProgressSink], None], outcome: RunOutcome, code: str | None
) -> None:
    end = watched(tmp_path, script)

    assert (end.outcome, end.code) == (outcome, code)
    assert (end.report is not None) == (outcome is RunOutcome.SUCCEEDED)


def test_everything_that_is_logged_during_a_run_belongs_to_its_job(tmp_path: Path) -> None:
    seen: list[Any] = []

    end = watched(tmp_path, lambda bench, on_progress: seen.append(dict(current_fields())))

    assert seen == [{"job_id": end.job.id, "attempt": 1}]
    assert "job_id" not in current_fields()


def test_a_sweep_tells_what_it_sent_and_ended() -> None:
    runs = FakeJobRepository(max_attempts=1)
    lost, waiting = make_job(), make_job()
    runs.add(lost)
    runs.claim(lost.id, worker="w", lease_s=60.0, now=NOON)
    runs.add(waiting)
    watcher = Watcher()

    sweep(runs, FakeJobQueue(), FakeObjectStore(), now=after(3600), observer=watcher)

    assert watcher.sweeps == [(1, 1)]


@pytest.fixture
def outbox(sqlite_engine: Engine) -> SqlOutbox:
    return SqlOutbox(sqlite_engine)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(204, DeliveryStatus.DELIVERED), (500, DeliveryStatus.PENDING), (410, DeliveryStatus.DISABLED)],
)
def test_every_attempt_at_a_webhook_is_told(outbox: SqlOutbox, status: int, outcome: DeliveryStatus) -> None:
    told: list[tuple[Outcome, float]] = []
    courier = Courier(
        queue=outbox,
        client=OutboundClient(allow=parse_networks(["127.0.0.0/8"])),
        secrets=[new_secret()],
        rng=Random(0),
        clock=lambda: NOON,
        on_attempt=lambda result, duration_s: told.append((result, duration_s)),
    )

    with web_server(lambda _: Reply(status=status)) as server:
        outbox.add(make_delivery(url=server.url()))
        courier.deliver_due()

    [(result, duration_s)] = told
    assert result.status is outcome
    assert 0 < duration_s < 60

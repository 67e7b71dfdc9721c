"""When a queued job will be done, by what was measured; asked rarely however often clients ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from core.estimation.forecast import KEPT_S, Forecaster
from core.estimation.queue_load import QueueLoad, WaitingJobs
from core.jobs import Job, Lane
from core.options import resolve_options
from core.settings import Settings
from tests.contracts.history import NOW, run_job
from tests.estimation_fakes import FakeQueueLoads, FakeRunHistory
from tests.factories import make_job
from tests.fakes import FakeJobRepository

OPTIONS = resolve_options("speech").model_dump(mode="json")
QUEUE = QueueLoad(
    workers={Lane.INTERACTIVE: 1},
    running=1,
    running_left_s=4.0,
    waiting={Lane.INTERACTIVE: (WaitingJobs(preset="speech", count=9, measured=9, audio_s=90.0),)},
)


class Bench:
    """A forecaster on fakes, whose clock stands still until it is set."""

    def __init__(self, tmp_path: Path, load: QueueLoad = QUEUE) -> None:
        self.now_s = 0.0
        self.jobs = FakeJobRepository()
        self.loads = FakeQueueLoads(load)
        self.forecaster = Forecaster(
            loads=self.loads,
            history=FakeRunHistory(self.jobs),
            settings=Settings(data_dir=tmp_path),
            clock=lambda: self.now_s,
        )

    def eta_s(self, job: Job, position: int = 0) -> float | None:
        return self.forecaster.eta_s(job, position=position, now=NOW)


@pytest.fixture
def job() -> Job:
    """Ten seconds of audio."""
    return make_job(preset="speech", options=OPTIONS)


def test_a_queued_job_takes_its_wait_and_its_own_time(tmp_path: Path, job: Job) -> None:
    bench = Bench(tmp_path)
    run_job(bench.jobs, rtf=0.5, options=OPTIONS)

    # 4 s of what runs, two jobs of 10 s of audio before it, and its own 10 s, all at an RTF of 0.5.
    assert bench.eta_s(job, position=2) == 4 + 2 * 5 + 5


def test_what_was_measured_is_asked_for_again_after_a_while(tmp_path: Path, job: Job) -> None:
    bench = Bench(tmp_path)
    run_job(bench.jobs, rtf=0.5, options=OPTIONS)
    bench.eta_s(job, position=2)

    bench.loads.answer = QueueLoad(workers={Lane.INTERACTIVE: 1})
    bench.now_s = KEPT_S - 0.1
    assert (bench.eta_s(job, position=2), bench.loads.asked) == (19.0, 1)
    bench.now_s = KEPT_S
    assert (bench.eta_s(job), bench.loads.asked) == (5.0, 2)


@pytest.mark.parametrize("length", [None, 10.0])
def test_nobody_knows_without_workers_or_a_length(tmp_path: Path, job: Job, length: float | None) -> None:
    bench = Bench(tmp_path, QueueLoad() if length else QUEUE)

    assert bench.eta_s(replace(job, input=replace(job.input, duration_s=length))) is None


def test_options_of_another_version_have_no_forecast(tmp_path: Path) -> None:
    assert Bench(tmp_path).eta_s(make_job(options={"preset": "speech", "model": 7})) is None

"""A run that goes far beyond its estimate is ended, and its user told why."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import TimeLimitExceeded
from core.estimation.estimate import default_rtf
from core.jobs import JobStatus, Progress, Stage
from core.options import resolve_options
from core.settings import Settings
from tests.unit.worker.bench import Bench, ScriptedPipeline
from worker.tasks import run_limit_s
from worker.time_limit import TimeLimit


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_reports_pass_until_the_limit_that_the_length_gives() -> None:
    clock, passed, asked = Clock(), [], []

    def limit_s_for(audio_s: float) -> float:
        asked.append(audio_s)
        return 5.0

    report = TimeLimit(lambda stage, progress: passed.append(progress), limit_s_for=limit_s_for, clock=clock)
    report(Stage.PREPARE, Progress(fraction=0.1))
    clock.now_s += 5.0
    report(Stage.ENHANCE, Progress(fraction=0.2, duration_s=60.0))
    clock.now_s += 0.5
    with pytest.raises(TimeLimitExceeded, match=r"After 6 s the job was 30% done; .* 60\.0 s of audio .* is 5 s"):
        report(Stage.ENHANCE, Progress(fraction=0.3, duration_s=60.0))

    assert [progress.fraction for progress in passed] == [0.1, 0.2]
    assert asked == [60.0]


def test_run_of_unknown_length_is_not_limited() -> None:
    clock = Clock()
    report = TimeLimit(lambda stage, progress: None, limit_s_for=lambda audio_s: 0.0, clock=clock)
    clock.now_s += 1e6

    report(Stage.PREPARE, Progress(fraction=0.1))


def test_job_past_its_limit_fails_for_good_with_its_code(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        ScriptedPipeline(lambda on_progress: on_progress(Stage.ENHANCE, Progress(fraction=0.5, duration_s=10.0))),
        limit_s_for=lambda options, channels, audio_s: -1.0,
    )

    ended = bench.run()

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error.code == "time_limit_exceeded"
    assert "LIMPID_TIME_LIMIT_FACTOR" in ended.error.detail
    assert bench.scratch_files == []


def test_limit_follows_the_true_cost_of_the_preset(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, time_limit_factor=10.0, time_limit_min_s=60.0)
    fast, maximum = resolve_options("fast"), resolve_options("maximum")

    limits_s = [run_limit_s(options, 2, 3600.0, settings=settings) for options in (fast, maximum)]

    assert limits_s == [pytest.approx(10 * 2 * 3600 * default_rtf(options)) for options in (fast, maximum)]
    assert limits_s[1] / limits_s[0] > 50  # 58 times the work, spec b
    assert run_limit_s(fast, 1, 0.1, settings=settings) == 60.0


def test_slower_machine_by_its_benchmark_has_more_time(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    options = resolve_options("speech")
    before_s = run_limit_s(options, 1, 36_000.0, settings=settings)
    (tmp_path / "benchmark.json").write_text(
        '{"runs": [{"preset": "speech", "model": "limpid-speech", "relative_cost": 1.0, "rtf": 2.5, "duration_s": 60.0,'
        ' "threads": 1, "measured_at": "2026-01-01T00:00:00Z"}]}',
        encoding="utf-8",
    )

    assert run_limit_s(options, 1, 36_000.0, settings=settings) == 20 * 36_000 * 2.5 > before_s

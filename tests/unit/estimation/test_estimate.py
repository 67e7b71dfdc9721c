"""Cost and time of a job before it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.estimation.benchmark import FILE_NAME, Benchmark, BenchmarkRun, keep_runs, read_benchmark
from core.estimation.cost import relative_cost
from core.estimation.estimate import DEFAULT_PASS_RTF, EstimateSource, default_rtf, estimate_run
from core.estimation.history import PastRun
from core.model_catalogue import Architecture
from core.options import EnhanceOptions, resolve_options
from core.presets import PRESETS


def bench_run(preset: str, *, rtf: float, **overrides: Any) -> BenchmarkRun:  # noqa: ANN401
    options = resolve_options(preset, overrides)
    return BenchmarkRun(
        preset=preset,
        model=options.model,
        relative_cost=relative_cost(options),
        rtf=rtf,
        duration_s=60.0,
        threads=1,
        measured_at=datetime(2026, 11, 20, tzinfo=UTC),
    )


def past(options: EnhanceOptions, rtf: float) -> PastRun:
    return PastRun(options=options.model_dump(mode="json"), rtf=rtf)


class TestRelativeCost:
    @pytest.mark.parametrize(
        ("preset", "passes"),
        [("fast", 1 / 0.9), ("balanced", 1 / 0.85), ("high", 4 * 2 / 0.75), ("maximum", 4 * 4 / 0.25), ("speech", 1)],
    )
    def test_passes_of_a_preset(self, preset: str, passes: float) -> None:
        assert relative_cost(resolve_options(preset)) == pytest.approx(passes)

    def test_no_shift_costs_as_much_as_one(self) -> None:
        assert relative_cost(resolve_options("fast", {"shifts": 1})) == relative_cost(resolve_options("fast"))

    def test_members_that_no_chosen_stem_needs_cost_nothing(self) -> None:
        one = relative_cost(resolve_options("high", {"stems": ["vocals"]}))
        two = relative_cost(resolve_options("high", {"stems": ["vocals", "drums"]}))

        assert [one, two] == pytest.approx([2 / 0.75, 4 / 0.75])

    def test_where_no_network_runs_there_is_no_pass(self) -> None:
        assert relative_cost(resolve_options("clean-only")) == 0
        assert relative_cost(resolve_options("high", {"strength": 0})) == 0


class TestEstimate:
    def test_median_of_recent_jobs_comes_first(self) -> None:
        options = resolve_options("speech")
        runs = [past(options, rtf) for rtf in (0.5, 0.1, 0.2)]

        told = estimate_run(options, audio_s=100, runs=runs, benchmark=Benchmark(runs=(bench_run("speech", rtf=9.0),)))

        assert told.source is EstimateSource.MEASURED
        assert (told.rtf, told.processing_s) == pytest.approx((0.2, 20))

    def test_jobs_with_other_settings_count_in_proportion_to_their_passes(self) -> None:
        runs = [past(resolve_options("high", {"stems": ["vocals"]}), 3.0)]

        told = estimate_run(resolve_options("high"), audio_s=1, runs=runs, benchmark=None)

        assert told.rtf == pytest.approx(12.0)

    @pytest.mark.parametrize(
        "run",
        [
            past(resolve_options("speech-dns48"), 3.0),
            past(resolve_options("speech", {"strength": 0}), 3.0),
            PastRun(options={"preset": "speech"}, rtf=3.0),
            PastRun(options=resolve_options("speech").model_dump() | {"model": "forgotten"}, rtf=3.0),
        ],
    )
    def test_jobs_that_ran_something_else_do_not_count(self, run: PastRun) -> None:
        told = estimate_run(resolve_options("speech"), audio_s=1, runs=[run], benchmark=None)

        assert told.source is EstimateSource.DEFAULT

    def test_benchmark_of_the_preset_comes_before_that_of_its_model(self) -> None:
        benchmark = Benchmark(runs=(bench_run("voice-chain", rtf=0.9), bench_run("speech-dns48", rtf=0.4)))

        told = estimate_run(resolve_options("speech-dns48"), audio_s=1, runs=[], benchmark=benchmark)

        assert (told.rtf, told.source) == (0.4, EstimateSource.BENCHMARK)

    def test_benchmark_of_another_preset_of_the_model_serves(self) -> None:
        benchmark = Benchmark(runs=(bench_run("fast", rtf=1.0), bench_run("speech", rtf=0.3)))

        told = estimate_run(resolve_options("balanced"), audio_s=1, runs=[], benchmark=benchmark)

        assert told.rtf == pytest.approx(0.9 / 0.85)

    def test_every_architecture_has_a_default_and_maximum_costs_as_spec_says(self) -> None:
        base = default_rtf(resolve_options("clean-only"))

        assert set(DEFAULT_PASS_RTF) == set(Architecture)
        assert all(default_rtf(resolve_options(preset)) >= base for preset in PRESETS)
        ratio = (default_rtf(resolve_options("maximum")) - base) / (default_rtf(resolve_options("fast")) - base)
        assert ratio == pytest.approx(57.6)


class TestBenchmarkFile:
    def test_newest_run_of_each_preset_is_kept(self, tmp_path: Path) -> None:
        data_dir = tmp_path / "new"
        keep_runs([bench_run("speech", rtf=0.3), bench_run("clean-only", rtf=0.05)], data_dir)
        keep_runs([bench_run("speech", rtf=0.2)], data_dir)

        kept = read_benchmark(data_dir)

        assert kept is not None
        assert {run.preset: run.rtf for run in kept.runs} == {"speech": 0.2, "clean-only": 0.05}
        assert [path.name for path in data_dir.iterdir()] == [FILE_NAME]

    def test_without_a_file_nothing_is_known(self, tmp_path: Path) -> None:
        assert read_benchmark(tmp_path) is None

    @pytest.mark.parametrize("text", ["", "{", '{"runs": [{"preset": "speech", "rtf": -1}]}'])
    def test_damaged_file_is_as_none_and_is_replaced(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
    ) -> None:
        (tmp_path / FILE_NAME).write_text(text)

        assert read_benchmark(tmp_path) is None
        assert "benchmark_not_read" in caplog.text
        keep_runs([bench_run("speech", rtf=0.2)], tmp_path)
        assert read_benchmark(tmp_path) is not None

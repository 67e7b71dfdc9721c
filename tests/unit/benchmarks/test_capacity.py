"""The capacity simulation against queueing theory, and the plan against what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.capacity import STEADY, Workload, draw_day, plan_day, simulate_waits


def make_workload(**changes: object) -> Workload:
    values = {"files_per_day": 3000, "median_s": 120.0, "mean_s": 240.0, "rtf": 0.5, "overhead_s": 2.0}
    return Workload(**(values | changes))  # type: ignore[arg-type]


def erlang_c(load: float, servers: int) -> float:
    """Share of jobs that wait in an M/M/c queue."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    waiting = load**servers / math.factorial(servers) * servers / (servers - load)
    return waiting / (sum(terms) + waiting)


def test_waits_of_random_arrivals_and_services_follow_erlang_c() -> None:
    rng = np.random.default_rng(5)
    count, servers, rate_hz, service_s = 60_000, 4, 3.0, 1.0
    arrivals = np.cumsum(rng.exponential(1 / rate_hz, count))

    waits = simulate_waits(arrivals, rng.exponential(service_s, count), processes=servers)

    load = rate_hz * service_s
    probability = erlang_c(load, servers)
    assert np.mean(waits > 0) == pytest.approx(probability, rel=0.05)
    assert waits.mean() == pytest.approx(probability * service_s / (servers - load), rel=0.1)


def test_one_process_serves_jobs_one_after_the_other() -> None:
    waits = simulate_waits(np.array([0.0, 1.0, 10.0]), np.array([4.0, 4.0, 1.0]), processes=1)

    assert waits.tolist() == [0.0, 3.0, 0.0]


def test_durations_have_the_median_and_mean_that_were_asked_for() -> None:
    arrivals, durations, services = draw_day(make_workload(files_per_day=30_000), seed=1)

    assert np.median(durations) == pytest.approx(120, rel=0.02)
    assert durations.mean() == pytest.approx(240, rel=0.08)
    assert services == pytest.approx(2 + 0.5 * durations)
    assert (np.diff(arrivals) >= 0).all()
    assert 0 <= arrivals[0] <= arrivals[-1] <= 86_400


def test_most_jobs_arrive_in_office_hours() -> None:
    arrivals, _, _ = draw_day(make_workload(), seed=1)
    night, day = (np.mean((arrivals >= 3600 * start) & (arrivals < 3600 * (start + 6))) for start in (0, 9))

    assert day > 4 * night


def test_a_plan_holds_its_goal_and_one_process_less_does_not() -> None:
    workload = make_workload()

    plan = plan_day(workload, goal_s=30, price_per_core_h=0.04)

    arrivals, _, services = draw_day(workload, seed=0)
    fewer = simulate_waits(arrivals, services, processes=plan.processes - 1)
    assert plan.wait_p95_s <= 30 < np.percentile(fewer, 95)
    assert plan.utilisation == pytest.approx(services.sum() / (86_400 * plan.processes))
    assert plan.cost_per_audio_h == pytest.approx(0.04 * plan.core_h_per_audio_h)


def test_a_steady_load_needs_fewer_processes_than_one_with_rush_hours() -> None:
    steady = plan_day(make_workload(hourly=STEADY), goal_s=30, price_per_core_h=0.04)
    office = plan_day(make_workload(), goal_s=30, price_per_core_h=0.04)

    assert steady.processes < office.processes


def test_a_few_short_jobs_need_a_single_process() -> None:
    assert plan_day(make_workload(files_per_day=50, rtf=0.01), goal_s=60, price_per_core_h=0.04).processes == 1


def test_a_mean_below_the_median_is_refused() -> None:
    with pytest.raises(ValueError, match="at least the median"):
        make_workload(mean_s=60.0)

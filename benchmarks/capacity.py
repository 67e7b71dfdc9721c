"""How many workers hold a wait: `python -m benchmarks.capacity [--files-per-day 1000,10000,100000,1000000]`.

A simulated day of jobs: they arrive at random, more by day than by night, wait first come first served, and each holds
one worker process for `overhead_s + duration_s * rtf`. For each volume the command finds the fewest processes for which
95 % of the jobs start within the goal, and says what an hour of audio costs at the given price of a core-hour. Fair
turns between API keys change who waits, hardly how long all wait together.

The figures of `--rtf` and `--overhead-s` come from `limpid bench` on the machine that will run the workers.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

DAY_S = 86_400.0
HOUR_S = 3_600.0
OFFICE_HOURS = (1, 1, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 5, 6, 6, 6, 5, 4, 3, 3, 3, 2, 2, 1)
"""Relative arrivals of each hour; the busiest takes 1.8 times the mean."""
STEADY = (1,) * 24
WAIT_PERCENTILE = 95


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A day of jobs. Durations are log-normal: half are shorter than `median_s`; the mean is `mean_s`."""

    files_per_day: int
    median_s: float
    mean_s: float
    rtf: float  # processing time per audio second, one process
    overhead_s: float  # of each job: fetch, probe, report, upload
    hourly: Sequence[float] = OFFICE_HOURS

    def __post_init__(self) -> None:
        if not 0 < self.median_s <= self.mean_s:
            raise ValueError(f"the mean duration is at least the median, got {self.mean_s} and {self.median_s} s")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The fewest processes that hold the goal, and how the day goes with them."""

    files_per_day: int
    audio_h_per_day: float
    processes: int
    wait_p50_s: float
    wait_p95_s: float
    wait_max_s: float
    utilisation: float  # busy share of all processes over the day
    core_h_per_audio_h: float  # paid for, idle time included
    cost_per_audio_h: float


def draw_day(workload: Workload, *, seed: int) -> tuple[Samples, Samples, Samples]:
    """Return arrival times (N,) in s, ascending, audio durations (N,) and service times (N,) in s."""
    rng = np.random.default_rng(seed)
    count = int(rng.poisson(workload.files_per_day))
    share = np.cumsum([0.0, *workload.hourly]) / np.sum(workload.hourly)
    arrivals = np.sort(np.interp(rng.random(count), share, np.arange(len(share)) * DAY_S / len(workload.hourly)))
    sigma = np.sqrt(2 * np.log(workload.mean_s / workload.median_s))
    durations = workload.median_s * np.exp(sigma * rng.standard_normal(count))
    return arrivals, durations, workload.overhead_s + workload.rtf * durations


def simulate_waits(arrivals: Samples, services: Samples, *, processes: int) -> Samples:
    """Return how long each job waits (N,) in s, first come first served by `processes` equal processes."""
    free_at = [0.0] * processes
    waits = np.empty(len(arrivals))
    for index, (arrival, service) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
        start = max(arrival, free_at[0])
        heapq.heapreplace(free_at, start + service)
        waits[index] = start - arrival
    return waits


def plan_day(workload: Workload, *, goal_s: float, price_per_core_h: float, seed: int = 0) -> Plan:
    """Return the smallest plan in which 95 % of the jobs wait no longer than `goal_s`."""
    arrivals, durations, services = draw_day(workload, seed=seed)
    if len(arrivals) == 0:
        raise ValueError(f"a day needs jobs, got {workload.files_per_day} files a day")

    def holds(processes: int) -> bool:
        waits = simulate_waits(arrivals, services, processes=processes)
        return float(np.percentile(waits, WAIT_PERCENTILE)) <= goal_s

    high = max(1, int(services.sum() / DAY_S))
    while not holds(high):
        high *= 2
    low = high // 2  # does not hold, or is 0
    if high > 1 and holds(max(1, low)):
        low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    waits = simulate_waits(arrivals, services, processes=high)
    audio_h = float(durations.sum()) / HOUR_S
    core_h = high * DAY_S / HOUR_S / audio_h
    return Plan(
        files_per_day=workload.files_per_day,
        audio_h_per_day=audio_h,
        processes=high,
        wait_p50_s=float(np.median(waits)),
        wait_p95_s=float(np.percentile(waits, WAIT_PERCENTILE)),
        wait_max_s=float(waits.max()),
        utilisation=float(services.sum()) / (high * DAY_S),
        core_h_per_audio_h=core_h,
        cost_per_audio_h=core_h * price_per_core_h,
    )


def _print_table(plans: Sequence[Plan]) -> None:
    columns = (
        "files/day",
        "audio h/day",
        "processes",
        "p50 wait s",
        "p95 wait s",
        "max wait s",
        "busy",
        "cost/audio h",
    )
    sys.stdout.write(" | ".join(columns) + "\n")
    for plan in plans:
        cells = (
            f"{plan.files_per_day:,}",
            f"{plan.audio_h_per_day:,.0f}",
            f"{plan.processes:,}",
            f"{plan.wait_p50_s:.1f}",
            f"{plan.wait_p95_s:.1f}",
            f"{plan.wait_max_s:.0f}",
            f"{plan.utilisation:.0%}",
            f"{plan.cost_per_audio_h:.4f}",
        )
        sys.stdout.write(" | ".join(cells) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each volume."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files-per-day", default="1000,10000,100000,1000000")
    parser.add_argument("--rtf", type=float, default=0.05, help="of the preset, by `limpid bench`")
    parser.add_argument("--overhead-s", type=float, default=1.0)
    parser.add_argument("--median-s", type=float, default=180.0)
    parser.add_argument("--mean-s", type=float, default=480.0)
    parser.add_argument("--goal-s", type=float, default=10.0, help="95 %% of the jobs start within this")
    parser.add_argument("--price", type=float, default=0.04, help="of a core-hour, in any currency")
    parser.add_argument("--steady", action="store_true", help="the same load by day and by night")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    plans = [
        plan_day(
            Workload(
                files_per_day=int(files),
                median_s=chosen.median_s,
                mean_s=chosen.mean_s,
                rtf=chosen.rtf,
                overhead_s=chosen.overhead_s,
                hourly=STEADY if chosen.steady else OFFICE_HOURS,
            ),
            goal_s=chosen.goal_s,
            price_per_core_h=chosen.price,
        )
        for files in chosen.files_per_day.split(",")
    ]
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(plan) for plan in plans], indent=2) + "\n")
    else:
        _print_table(plans)


if __name__ == "__main__":
    main()

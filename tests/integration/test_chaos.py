"""The short form of `python -m tests.chaos` (docs/operations/faults.md): a few jobs, and each fault once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.chaos.campaign import Plan, run_campaign
from tests.chaos.worlds import World, embedded_world, real_world

JOBS = 10
OUTAGE_S = 2.0
INTERVAL_S = 1.0
TIMEOUT_S = 240.0

OpenWorld = Callable[..., AbstractContextManager[World]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("open_world", "faults"),
    [
        pytest.param(embedded_world, ["worker", "flush", "database", "storage"], id="embedded"),
        pytest.param(real_world, ["child", "flush", "database", "storage"], id="real"),
    ],
)
def test_every_job_ends_once_with_the_bytes_of_an_undisturbed_run(
    tmp_path: Path, open_world: OpenWorld, faults: Sequence[str]
) -> None:
    plan = Plan(jobs=JOBS, faults=faults, interval_s=INTERVAL_S, seed=1, timeout_s=TIMEOUT_S, rounds=1)

    with open_world(tmp_path, outage_s=OUTAGE_S) as world:
        outcome = run_campaign(world, plan)

    assert outcome.violations == []
    assert outcome.figures["ended"] == {"succeeded": JOBS}
    assert outcome.figures["events"] == JOBS
    assert sum(outcome.figures["faults"].values()) >= 1

"""Liveness, readiness, and what the server is."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from importlib.metadata import version

import anyio
from fastapi import APIRouter, Response

from api.deps import BackendDep, CensusDep
from api.schemas import HealthView, ReadinessView, SystemView
from core.errors import EnhancerError, WorkersAbsent, WorkersStalled
from core.model_catalogue import MODELS
from core.monitoring.census import RecentCensus
from core.presets import DEFAULT_PRESET

router = APIRouter(tags=["health"])
logger = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 5.0


@router.get("/healthz", summary="Is the process up?")
async def get_health() -> HealthView:
    """Answers as long as the process does; asks nothing of anybody else."""
    return HealthView(version=version("limpid"))


@router.get(
    "/readyz",
    summary="Can it serve?",
    responses={503: {"description": "A part does not answer; `checks` says which", "model": ReadinessView}},
)
async def get_readiness(backend: BackendDep, census: CensusDep, response: Response) -> ReadinessView:
    """Asks the database, the object store and the broker, at the same time, for at most five seconds.

    `workers` is `stalled` when one is idle and `absent` when there is none, while a job that could run has waited for
    two minutes. That a queue is long, while workers are at work, is no fault.
    """
    checks: dict[str, Callable[[], None]] = {
        "database": backend.jobs.check,
        "store": backend.store.check,
        "broker": backend.queue.check,
        "workers": functools.partial(check_workers, census),
    }
    outcomes = await asyncio.gather(*(_outcome(name, check) for name, check in checks.items()))
    found = dict(zip(checks, outcomes, strict=True))
    is_ready = all(outcome == "ok" for outcome in outcomes)
    response.status_code = 200 if is_ready else 503
    return ReadinessView(status="ready" if is_ready else "unavailable", checks=found)


@router.get("/api/health", summary="Server status and models", tags=["simple"])
def get_system(backend: BackendDep) -> SystemView:
    """For clients of `POST /api/enhance`."""
    installed = [name for name in MODELS if backend.installed.has(name)]
    return SystemView(version=version("limpid"), default_preset=DEFAULT_PRESET, models=installed)


def check_workers(census: RecentCensus) -> None:
    """WorkersStalled or WorkersAbsent when jobs wait for workers that do not take them."""
    latest = census.get()
    for queue in latest.queues:
        if queue.is_stalled(now=latest.taken_at):
            raise WorkersStalled(f"Workers of the queue {queue.name} are idle beside {queue.waiting} jobs that wait.")
        if queue.has_no_workers(now=latest.taken_at):
            raise WorkersAbsent(f"The queue {queue.name} has no worker; {queue.waiting} jobs wait in it.")


async def _outcome(name: str, check: Callable[[], None]) -> str:
    """`ok` or why not, in words without addresses; the log has the rest."""
    try:
        with anyio.fail_after(CHECK_TIMEOUT_S):
            await anyio.to_thread.run_sync(check, abandon_on_cancel=True)
    except EnhancerError as error:
        logger.warning("check_failed", extra={"check": name, "reason": error.detail})
        return error.code
    except TimeoutError:
        logger.warning("check_failed", extra={"check": name, "reason": f"no answer in {CHECK_TIMEOUT_S} s"})
        return "timeout"
    return "ok"

"""The processes of the worker: `limpid worker` and `limpid scheduler`. Here the concrete parts meet Celery."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Celery, signals
from celery.apps.worker import install_worker_term_handler
from celery.beat import Scheduler
from celery.platforms import SecurityWarning
from celery.worker import state

from core.celery_config import make_celery, prepare_broker
from core.jobs import Device
from core.monitoring.tracing_setup import check_tracing
from core.queue import MAINTENANCE_QUEUE, SWEEP_TASK
from core.settings import Settings
from worker.exporter import exported_metrics
from worker.observer import NobodyWatches, WorkerObserver
from worker.pool import ForkPool
from worker.shutdown import ShutdownFlag, when_parent_dies
from worker.tasks import ProcessContext, register_tasks
from worker.workspace import remove_orphans

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


def run_worker(settings: Settings, queues: Sequence[str], concurrency: int) -> None:
    """Take jobs from `queues`, `concurrency` at a time, until SIGTERM or Ctrl-C.

    On the first signal each run stops at its next segment and its job goes back to the queue, without counting the
    attempt. A GPU worker runs one job at a time in this very process; a CPU worker forks its processes, and loads
    PyTorch in them only, since a parent that ran OpenMP hangs its children. Such a process is replaced, after the end
    of a task, when it has done `settings.worker_max_jobs` tasks, or once had more than `settings.worker_max_memory_mb`
    resident. Raises SystemExit when Celery ends badly, and when no job can be run with what is installed.
    """
    logging.basicConfig(level=settings.log_level, format=LOG_FORMAT)
    _quieten_celery()
    check_tracing(settings)
    prepare_broker(settings)
    settings.resolved_scratch_dir.mkdir(parents=True, exist_ok=True)
    remove_orphans(settings.resolved_scratch_dir)
    with _observer(settings) as observer:
        _run_worker(settings, queues, concurrency, observer=observer)


@contextmanager
def _observer(settings: Settings) -> Iterator[WorkerObserver]:
    if settings.metrics_port is None:
        yield NobodyWatches()
        return
    with exported_metrics(
        settings.resolved_scratch_dir, host=settings.metrics_host, port=settings.metrics_port
    ) as metrics:
        yield metrics


def _run_worker(settings: Settings, queues: Sequence[str], concurrency: int, *, observer: WorkerObserver) -> None:
    shutdown = ShutdownFlag()
    unusable = ShutdownFlag()
    is_forking = not any(name.startswith(f"{Device.GPU}.") for name in queues)
    if not is_forking:
        concurrency = 1
    cores = max(1, len(os.sched_getaffinity(0)) // concurrency)
    context = ProcessContext(settings, shutdown, unusable=unusable, observer=observer, cores=cores)
    app = make_worker_app(settings, context)

    def has_room() -> bool:
        return len(state.reserved_requests) < concurrency and not shutdown.is_set()

    app.conf.broker_transport_options["has_room"] = has_room

    def ask_runs_to_stop(**_: Any) -> None:  # noqa: ANN401 - whatever Celery's signal brings
        shutdown.set()

    def prepare_child(**_: Any) -> None:  # noqa: ANN401
        remove_orphans(settings.resolved_scratch_dir)  # this child may replace one that was killed
        when_parent_dies(leave)
        context.announce(queues, is_pool_child=True)

    def say_goodbye(**_: Any) -> None:  # noqa: ANN401
        context.leave()

    def leave() -> None:
        shutdown.set()
        with context.busy:
            os._exit(0)

    signals.worker_shutting_down.connect(ask_runs_to_stop)
    if is_forking:
        signals.worker_process_init.connect(prepare_child)
        signals.worker_process_shutdown.connect(say_goodbye)
    else:
        context.announce(queues, is_pool_child=False)
    worker = _worker_class(app)(
        queues=list(queues),
        concurrency=concurrency,
        pool=ForkPool if is_forking else "solo",
        optimization="fair",
        loglevel=settings.log_level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        max_tasks_per_child=settings.worker_max_jobs,
        max_memory_per_child=_kibibytes(settings.worker_max_memory_mb),
    )
    logger.info("worker_started", extra={"queues": ",".join(queues), "concurrency": concurrency})
    worker.start()
    context.leave()
    logger.info("worker_stopped")
    if worker.exitcode:
        raise SystemExit(worker.exitcode)
    if unusable.is_set():
        raise SystemExit(1)


def _worker_class(app: Celery) -> Any:  # noqa: ANN401 - Celery has no types
    """Celery's worker, but for the line of its own that it writes past the log when it is told to stop."""

    class SilentWorker(app.Worker):  # type: ignore[misc]
        def install_platform_tweaks(self, worker: Any) -> None:  # noqa: ANN401
            super().install_platform_tweaks(worker)
            install_worker_term_handler(worker, verbose=False)

    return SilentWorker


def _kibibytes(mebibytes: int | None) -> int | None:
    return None if mebibytes is None else mebibytes * 1024  # Celery's unit


def run_scheduler(settings: Settings) -> None:
    """Ask for a sweep every `settings.sweep_interval_s` until SIGTERM or Ctrl-C. Keeps nothing on disk."""
    logging.basicConfig(level=settings.log_level, format=LOG_FORMAT)
    prepare_broker(settings)
    app = make_celery(settings)
    app.conf.beat_schedule = {
        "sweep": {
            "task": SWEEP_TASK,
            "schedule": settings.sweep_interval_s,
            # A sweep that nobody took in time is pointless: the next one is on its way.
            "options": {"queue": MAINTENANCE_QUEUE, "expires": settings.sweep_interval_s},
        }
    }
    app.Beat(scheduler_cls=Scheduler, max_interval=settings.sweep_interval_s, quiet=True).run()


def _quieten_celery() -> None:
    """Our own log has one line per change of a job's state; Celery's say the same again, with every argument."""
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Celery fears pickled messages when it runs as root; we accept nothing but JSON.
    warnings.filterwarnings("ignore", category=SecurityWarning)


def make_worker_app(settings: Settings, context: ProcessContext) -> Celery:
    """The Celery application of a worker, with its tasks."""
    app = make_celery(settings)
    app.set_current()
    register_tasks(app, context)
    return app

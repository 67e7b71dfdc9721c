"""Celery's tasks: thin. Each process builds what they need when the first message comes, so that nothing is forked."""

from __future__ import annotations

import functools
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, ParamSpec

from celery import Celery

from core.backend import Backend, open_backend
from core.errors import TransientError
from core.fleet.installed import installed_here
from core.monitoring.tracing_setup import start_tracing
from core.queue import DELIVER_TASK, RUN_JOB_TASK, SWEEP_TASK
from core.retention import expire_jobs
from core.settings import Settings
from core.uploads.services import expire_uploads
from core.webhooks.deliver import Courier
from worker.deliveries import LOG_KEPT, ask_for_deliveries, deliver_webhooks, make_courier
from worker.fetching import InputFetcher
from worker.lease import utc_now
from worker.maintenance import replace_lost_messages, sweep
from worker.model_cache import ModelCache, ModelKey
from worker.observer import NobodyWatches, WorkerObserver
from worker.presence import Presence
from worker.processing import Processor
from worker.runner import JobRunner
from worker.shutdown import ShutdownFlag, deferred_sigterm

if TYPE_CHECKING:
    from core.enhancement.protocol import Enhancer
    from core.options import EnhanceOptions

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")

WORKERS_KEPT = timedelta(hours=1)
"""A worker process that has said nothing for so long is forgotten."""


class ProcessContext:
    """What the tasks of a process work with, built when first asked for.

    A fork builds its own: connections must not be shared, and decoders and PyTorch are loaded in the child only.
    """

    def __init__(
        self,
        settings: Settings,
        shutdown: ShutdownFlag,
        *,
        unusable: ShutdownFlag | None = None,
        observer: WorkerObserver | None = None,
        cores: int = 1,
    ) -> None:
        self._settings = settings
        self._cores = cores  # that a job of this process may count on
        self._shutdown = shutdown
        self._unusable = unusable or ShutdownFlag()
        self._worker_pid = os.getpid()
        self._pid = 0
        self.observer = observer or NobodyWatches()
        self._backend: Backend | None = None
        self._runner: JobRunner | None = None
        self._courier: Courier | None = None
        self._presence: Presence | None = None
        self._is_pool_child = False
        self._finish_tracing: Callable[[], None] = lambda: None
        self._is_terminated = False  # this process alone was told to end
        self.busy = threading.Lock()  # held while a job runs

    @property
    def backend(self) -> Backend:
        """The stores and the queue."""
        self._forget_parents()
        if self._backend is None:
            self._backend = open_backend(self._settings)
        return self._backend

    @property
    def runner(self) -> JobRunner:
        """Runs this process's jobs."""
        self._forget_parents()
        if self._runner is None:
            self._runner = self._make_runner(self.backend)
        return self._runner

    @property
    def courier(self) -> Courier:
        """Delivers webhooks."""
        self._forget_parents()
        if self._courier is None:
            self._courier = make_courier(self.backend, self._settings, on_attempt=self.observer.webhook_attempted)
        return self._courier

    def find_runner(self) -> JobRunner | None:
        """The runner; None when this installation cannot make one: then the worker says why, and stops.

        A worker that went on would take messages and never a job, while others wait for them. Raises TransientError.
        """
        try:
            return self.runner
        except TransientError:
            raise
        except Exception:
            logger.critical("worker_cannot_run_jobs", extra={"consequence": "it stops"}, exc_info=True)
            self._unusable.set()
            os.kill(self._worker_pid, signal.SIGTERM)
            return None

    def is_shutting_down(self) -> bool:
        """True when nothing new should be begun."""
        return self._shutdown.is_set() or self._is_terminated

    def announce(self, queues: Sequence[str], *, is_pool_child: bool) -> None:
        """Say in the database, from now on, that this process takes tasks from `queues`."""
        self._is_pool_child = is_pool_child
        find_models = functools.partial(installed_here, self._settings)
        self._presence = Presence(self.backend.fleet, name=self.name, queues=queues, find_models=find_models)
        self._presence.start()
        self._finish_tracing = start_tracing(self._settings, service="limpid-worker")

    def leave(self) -> None:
        """Say that this process ends."""
        self._finish_tracing()
        if self._presence is not None:
            self._presence.stop()

    @property
    def resend_after_s(self) -> float:
        """A message may be on its way for so long."""
        return self._settings.resend_after_s

    @property
    def name(self) -> str:
        """Of this process, for the operator to read."""
        return f"{socket.gethostname()}:{os.getpid()}"

    @contextmanager
    def task(self) -> Iterator[None]:
        """A task of this process. While it lasts, SIGTERM to a pool's child ends the run, and only then the child."""
        with ExitStack() as stack:
            if self._is_pool_child:
                stack.enter_context(deferred_sigterm(self._terminate, is_parent_stopping=self._shutdown.is_set))
            if self._presence is not None:
                stack.enter_context(self._presence.task())
            yield

    def _terminate(self) -> None:
        self._is_terminated = True

    def _forget_parents(self) -> None:
        if self._pid != os.getpid():
            self._pid, self._backend, self._runner, self._courier = os.getpid(), None, None, None

    def _make_runner(self, backend: Backend) -> JobRunner:
        from core.enhancement.pipeline import run_pipeline
        from core.enhancement.threads import ThreadChoice
        from core.services import check_recording

        load = functools.partial(load_engine, settings=self._settings, observer=self.observer)
        threads = ThreadChoice(
            configured=self._settings.torch_num_threads, most=self._cores, folder=self._settings.data_dir
        )
        return JobRunner(
            runs=backend.jobs,
            processor=Processor(
                store=backend.store,
                fetcher=InputFetcher(
                    runs=backend.jobs,
                    store=backend.store,
                    client=backend.outbound,
                    sources=backend.sources,
                    check_recording=functools.partial(check_recording, settings=self._settings),
                    max_bytes=self._settings.max_upload_bytes,
                    timeout_s=self._settings.fetch_timeout_s,
                ),
                models=ModelCache(
                    load,
                    capacity=self._settings.model_cache_size,
                    prepare=lambda key, engine: threads.apply(engine, device=key.device),
                ),
                pipeline=run_pipeline,
                scratch_dir=self._settings.resolved_scratch_dir,
                max_duration_s=self._settings.max_duration_s,
                limit_s_for=functools.partial(run_limit_s, settings=self._settings),
            ),
            settings=self._settings,
            worker=self.name,
            is_shutting_down=self.is_shutting_down,
            busy=self.busy,
            observer=self.observer,
        )


def run_limit_s(options: EnhanceOptions, channels: int, audio_s: float, *, settings: Settings) -> float:
    """How many seconds a run may take on this machine."""
    from core.estimation.benchmark import read_benchmark
    from core.estimation.estimate import time_limit_s

    return time_limit_s(
        options,
        audio_s=audio_s,
        channels=channels,
        benchmark=read_benchmark(settings.data_dir),
        factor=settings.time_limit_factor,
        least_s=settings.time_limit_min_s,
    )


def load_engine(key: ModelKey, *, settings: Settings, observer: WorkerObserver) -> Enhancer:
    """The engine that `key` describes."""
    from core.enhancement.loader import load_enhancer

    logger.info("loading_model", extra={"model": key.name, "device": key.device})
    began_at = time.monotonic()
    engine = load_enhancer(
        key.name,
        models_dir=settings.resolved_models_dir,
        shifts=key.shifts,
        overlap=key.overlap,
        stems=key.stems,
        precision=key.precision,
        device=key.device,
    )
    observer.model_loaded(key.name, device=key.device, duration_s=time.monotonic() - began_at)
    return engine


def outliving_outages(task: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """`task`, which ends with one line in the log when a server does not answer: the next sweep makes up for it.

    Celery would log the whole trace each time and keep part of it: without its database, a worker grew by 200 MB in
    2,400 sweeps.
    """

    @functools.wraps(task)
    def attempt(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            task(*args, **kwargs)
        except TransientError as error:
            logger.warning("task_given_up", extra={"task": task.__name__, "reason": error.detail})

    return attempt


def register_tasks(app: Celery, context: ProcessContext) -> None:
    """Give `app` the tasks of core.queue."""

    def run_job(job_id: str) -> None:
        runner = context.find_runner()
        if runner is None:
            return
        runner.run(job_id)
        ask_for_deliveries(context.backend.deliveries, context.backend.queue, now=utc_now())

    def sweep_jobs() -> None:
        backend = context.backend
        replace_lost_messages(
            backend.jobs, backend.fleet, backend.queue, older_than_s=context.resend_after_s, now=utc_now()
        )
        sweep(backend.jobs, backend.queue, backend.store, now=utc_now(), observer=context.observer)
        expire_jobs(backend.jobs, backend.store, now=utc_now())
        expire_uploads(backend.uploads, jobs=backend.jobs, now=utc_now())
        backend.idempotency.purge(now=utc_now())
        backend.batches.announce_lost(now=utc_now())
        ask_for_deliveries(backend.deliveries, backend.queue, now=utc_now())
        backend.deliveries.purge(before=utc_now() - LOG_KEPT)
        backend.fleet.purge(before=utc_now() - WORKERS_KEPT)

    def deliver() -> None:
        deliver_webhooks(context.courier, is_shutting_down=context.is_shutting_down)

    for name, task in ((RUN_JOB_TASK, run_job), (SWEEP_TASK, sweep_jobs), (DELIVER_TASK, deliver)):
        app.task(name=name)(outliving_outages(context.task()(task)))

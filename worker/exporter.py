"""GET /metrics of a worker: one port for all its processes, which share what they count in files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import gethostname
from threading import Thread
from wsgiref.simple_server import WSGIServer

from billiard.process import current_process
from prometheus_client import CollectorRegistry, start_http_server, values
from prometheus_client.multiprocess import MultiProcessCollector

from worker.metrics import WorkerMetrics
from worker.workspace import open_workspace

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def exported_metrics(scratch_dir: Path, *, host: str, port: int) -> Iterator[WorkerMetrics]:
    """Metrics that this process and those that it forks count together, and that it serves on `host` and `port`.

    Counts live in a folder below `scratch_dir` until the worker ends; then they begin at zero, as Prometheus expects.
    SystemExit, with the reason, when the port cannot be had. To be entered before anything else makes a metric.
    """
    with ExitStack() as stack:
        # Containers all have process 1: the host's name tells their folders on a shared volume apart.
        folder = stack.enter_context(open_workspace(scratch_dir, f"metrics-{gethostname()}-{os.getpid()}"))
        _share_values(folder)
        served = CollectorRegistry()
        MultiProcessCollector(served, path=str(folder))  # type: ignore[no-untyped-call]
        server, thread = _serve(served, host=host, port=port)
        # A child that outlives this process must not keep the port from its successor.
        os.register_at_fork(after_in_child=server.socket.close)
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        yield WorkerMetrics(CollectorRegistry())


def _serve(registry: CollectorRegistry, *, host: str, port: int) -> tuple[WSGIServer, Thread]:
    try:
        return start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise SystemExit(
            f"limpid: cannot serve metrics on {host} port {port}: {error.strerror}. Set LIMPID_METRICS_PORT to another."
        ) from error


def _share_values(folder: Path) -> None:
    """Let metrics that are made from now on keep their values in `folder`; the library takes it from nowhere else."""
    os.environ[_FOLDER_VARIABLE] = str(folder)
    values.ValueClass = values.MultiProcessValue(_slot)  # type: ignore[no-untyped-call]


def _slot() -> str:
    """Which of the worker's places this process fills.

    Files are named by it, not by process id: the process that replaces another goes on with its counts, and there are
    never more files than places.
    """
    return str(getattr(current_process(), "index", "main"))

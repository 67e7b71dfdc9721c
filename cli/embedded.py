"""The embedded stack: API, workers and scheduler as supervised children over one data folder."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from cli.configuration import load_settings
from cli.errors import CommandError
from cli.processes import HOUSEKEEPING_QUEUES, available_cores, job_queues
from cli.supervisor import CommandFactory, Supervisor

if TYPE_CHECKING:
    import httpx

    from core.settings import Settings

READY_TIMEOUT_S = 120.0  # a laptop that is busy with something else takes half a minute
READY_INTERVAL_S = 0.1
LOG_TAIL_LINES = 15
HOUSEKEEPING_CONCURRENCY = 2  # a webhook's receiver that hangs must not hold up what heals the queue


@dataclass(frozen=True, kw_only=True)
class EmbeddedStack:
    """A stack that answers at `url`."""

    url: str
    settings: Settings
    supervisor: Supervisor


@contextmanager
def embedded_stack(
    data_dir: Path, *, host: str, port: int, announce: Callable[[str], None], stop: Event
) -> Iterator[EmbeddedStack]:
    """Start the stack, yield once it is ready or `stop` is set, and stop every process of it at the end.

    `port` 0 takes a free one. Servers that the environment names are not used: everything is in the folder, as
    `announce` says. CommandError when the port or the data folder is in use, or the API does not start.
    """
    from core.settings import environment_without_servers, variable_of

    data_dir = data_dir.resolve()
    settings = load_settings(data_dir)
    if settings.servers:
        ignored = ", ".join(variable_of(name) for name in settings.servers)
        announce(f"Not used, because this stack keeps everything in its folder: {ignored}.")
        settings = settings.without_servers()
    with _locked(data_dir):
        port = _reserve_port(host, port)
        _migrate(settings)
        with Supervisor(data_dir / "logs", announce=announce, environment=environment_without_servers()) as supervisor:
            for name, arguments in child_commands(settings, host=host, port=port):
                supervisor.start(name, command=_command_line(arguments, data_dir))
            url = f"http://{_reachable(host)}:{port}"
            _wait_until_ready(url, supervisor, stop=stop)
            yield EmbeddedStack(url=url, settings=settings, supervisor=supervisor)


def child_commands(settings: Settings, *, host: str, port: int) -> Sequence[tuple[str, Sequence[str]]]:
    def worker(queues: Sequence[str], concurrency: int, number: int) -> Sequence[str]:
        command = ("worker", "--queues", ",".join(queues), "--concurrency", str(concurrency))
        if settings.metrics_port is None:
            return command
        return (*command, "--metrics-port", str(settings.metrics_port + number))

    return (
        ("api", ("api", "--host", host, "--port", str(port))),
        ("worker", worker(job_queues(settings), available_cores(), 0)),
        ("housekeeping", worker(HOUSEKEEPING_QUEUES, HOUSEKEEPING_CONCURRENCY, 1)),
        ("scheduler", ("scheduler",)),
    )


def _command_line(arguments: Sequence[str], data_dir: Path) -> CommandFactory:
    # -P: a folder named `core` where the person happens to stand must not hide ours.
    prefix = (sys.executable, "-P", "-m", "cli.main", *arguments, "--data-dir", str(data_dir), "--supervisor-fd")
    return lambda supervisor_fd: (*prefix, str(supervisor_fd))


def _migrate(settings: Settings) -> None:
    from core.database import migrate

    migrate(settings.resolved_database_url)


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock ends with the process, however it ends."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "up.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"The data folder {data_dir} cannot be used: {error.strerror}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise CommandError(
                f"The data folder {data_dir} is in use by {owner}. Stop that one, or choose another --data-dir."
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}\n")
        lock.flush()
        yield


def _reserve_port(host: str, port: int) -> int:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise CommandError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another --port (0 takes a free one)."
        ) from None


def _reachable(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _wait_until_ready(url: str, supervisor: Supervisor, *, stop: Event) -> None:
    import httpx

    deadline = time.monotonic() + READY_TIMEOUT_S
    answer = "it did not answer"
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        while time.monotonic() < deadline and not stop.is_set():
            for child in supervisor.children:
                if child.group is not None and child.group.has_ended:
                    raise CommandError(f"The {child.name} process ended at its start:\n{_tail(child.log_path)}")
            try:
                response = client.get(f"{url}/readyz")
            except httpx.TransportError:
                pass  # not listening yet
            else:
                if is_serving(response):
                    return
                answer = response.text
            stop.wait(READY_INTERVAL_S)
    if not stop.is_set():
        raise CommandError(f"The API was not ready after {READY_TIMEOUT_S:g} s: {answer}")


def is_serving(response: httpx.Response) -> bool:
    """True when every part answers. Workers need not have come yet, and may never for a queue of another device."""
    if response.is_success:
        return True
    checks = response.json().get("checks", {}) if response.status_code == 503 else {}
    return [part for part, outcome in checks.items() if outcome != "ok"] == ["workers"]


def _tail(log_path: Path) -> str:
    return "\n".join(log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])

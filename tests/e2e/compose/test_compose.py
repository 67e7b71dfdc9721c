"""The compose file, driven from the host as a user drives it; skipped unless a container engine is named:

    LIMPID_TEST_COMPOSE='docker compose' .venv/bin/python -m pytest tests/e2e/compose

An engine without `host-gateway` (podman 4) needs LIMPID_HOST_ADDRESS, an address of this machine that containers reach.

The images must have been built (`docker compose build`). The stack gets a project, ports and an ingest folder of its
own, and is removed with its volumes in the end.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from standardwebhooks import Webhook

from tests.e2e.stack import wait_until
from tests.servers import free_port
from tests.web_server import Reply, web_server

ROOT = Path(__file__).parents[3]
COMMAND = os.environ.get("LIMPID_TEST_COMPOSE", "")
WEBHOOK_SECRET = "whsec_bGltcGlkLWNvbXBvc2UtdGVzdC1zZWNyZXQtMDEyMw=="
HOST = "host.docker.internal"
HOST_ADDRESSES = [address for address in (os.environ.get("LIMPID_HOST_ADDRESS"),) if address]
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
START_TIMEOUT_S = 300.0
JOB_TIMEOUT_S = 240.0
LEASE_S = 10
SAMPLE_RATE = 16_000
FRAMES = 3 * SAMPLE_RATE + 17

pytestmark = [
    pytest.mark.skipif(not COMMAND, reason="LIMPID_TEST_COMPOSE does not name a compose command"),
    pytest.mark.timeout(900),
]


@dataclass(frozen=True, kw_only=True)
class ComposeStack:
    """A running project."""

    environment: dict[str, str]
    url: str
    ingest: Path

    def run(self, *arguments: str) -> str:
        """Run a compose command; its standard output."""
        done = subprocess.run(
            [*shlex.split(COMMAND), "--profile", "ingest", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_ready(self) -> bool:
        """Whether the API and what it needs answer."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def job(self, job_id: str) -> dict[str, Any]:
        """A job now."""
        response = httpx.get(f"{self.url}/api/v1/jobs/{job_id}", timeout=30)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def submit(self, recording: Path, **form: str) -> str:
        """Submit a recording as a form; the job's id."""
        with recording.open("rb") as file:
            response = httpx.post(f"{self.url}/api/v1/jobs", files={"file": file}, data=form, timeout=60)
        response.raise_for_status()
        return str(response.json()["id"])

    def finished(self, job_id: str) -> dict[str, Any]:
        """A job after its end."""
        wait_until(
            lambda: self.job(job_id)["status"] in ("succeeded", "failed", "cancelled"),
            timeout_s=JOB_TIMEOUT_S,
            what="the job's end",
        )
        return self.job(job_id)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeStack]:
    ingest = tmp_path_factory.mktemp("ingest")
    (ingest / "in").mkdir()
    port, s3_port = free_port(), free_port()
    running = ComposeStack(
        environment={
            "COMPOSE_PROJECT_NAME": f"limpid-test-{os.getpid()}",
            "LIMPID_PORT": str(port),
            "LIMPID_S3_PORT": str(s3_port),
            "PROMETHEUS_PORT": str(free_port()),
            "LIMPID_S3_PUBLIC_ENDPOINT": f"http://127.0.0.1:{s3_port}",
            "LIMPID_S3_ACCESS_KEY": "limpid:limpid",  # of the form that every S3 server takes
            "LIMPID_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "LIMPID_WEBHOOK_ALLOW": ",".join((*PRIVATE_NETWORKS, *HOST_ADDRESSES)),
            "LIMPID_LEASE_S": str(LEASE_S),
            "LIMPID_INGEST_DIR": str(ingest),
            "LIMPID_INGEST_USER": f"{os.getuid()}:{os.getgid()}",
            # Named here, because tests run without the LIMPID_ variables of whoever starts them.
            **({"LIMPID_HOST_ADDRESS": HOST_ADDRESSES[0]} if HOST_ADDRESSES else {}),
        },
        url=f"http://127.0.0.1:{port}",
        ingest=ingest,
    )
    try:
        running.run("up", "-d", "--no-build")
        wait_until(running.is_ready, timeout_s=START_TIMEOUT_S, what="/readyz")
        yield running
    finally:
        running.run("--profile", "observe", "down", "-v")


def write_noise(path: Path, frames: int = FRAMES) -> Path:
    soundfile.write(path, np.random.default_rng(frames).normal(scale=0.05, size=frames), SAMPLE_RATE)
    return path


def test_the_output_is_fetched_from_the_object_store_by_presigned_url(stack: ComposeStack, tmp_path: Path) -> None:
    job = stack.finished(stack.submit(write_noise(tmp_path / "talk.wav"), preset="speech"))

    answer = httpx.get(stack.url + job["outputs"][0]["href"], timeout=30)
    fetched = httpx.get(answer.headers["location"], timeout=30)
    output = tmp_path / "output.wav"
    output.write_bytes(fetched.content)

    assert job["status"] == "succeeded", job["error"]
    assert answer.is_redirect
    assert answer.headers["location"].startswith(stack.environment["LIMPID_S3_PUBLIC_ENDPOINT"])
    assert soundfile.info(output).frames == FRAMES


def test_a_webhook_reaches_the_host_and_is_signed(stack: ComposeStack, tmp_path: Path) -> None:
    with web_server(lambda request: Reply(status=204), address="0.0.0.0") as receiver:
        options = json.dumps({"webhook": {"url": f"http://{HOST}:{receiver.port}/"}})
        job_id = stack.submit(write_noise(tmp_path / "talk.wav"), preset="clean-only", options=options)
        wait_until(lambda: bool(receiver.received), timeout_s=JOB_TIMEOUT_S, what="the webhook")
        event = receiver.received[0]

    verified: Any = Webhook(WEBHOOK_SECRET).verify(event.body, event.headers)
    assert verified["data"]["id"] == job_id


def test_a_recording_in_the_ingest_folder_comes_back_enhanced(stack: ComposeStack) -> None:
    write_noise(stack.ingest / "in" / "arrived.wav")
    output = stack.ingest / "out" / "arrived.enhanced.wav"

    wait_until(output.is_file, timeout_s=JOB_TIMEOUT_S, what="the output")

    assert soundfile.info(output).frames == FRAMES


def test_a_killed_worker_costs_time_but_no_job(stack: ComposeStack, tmp_path: Path) -> None:
    job_id = stack.submit(write_noise(tmp_path / "long.wav", frames=900 * SAMPLE_RATE), preset="speech")
    wait_until(lambda: stack.job(job_id)["status"] == "running", timeout_s=JOB_TIMEOUT_S, what="the start")

    stack.run("kill", "worker-cpu")
    stack.run("up", "-d", "--no-build", "worker-cpu")

    job = stack.finished(job_id)
    assert job["status"] == "succeeded", job["error"]
    assert job["attempt"] == 2


def test_containers_cannot_write_outside_their_volumes(stack: ComposeStack) -> None:
    script = "import pathlib; pathlib.Path('/opt/limpid/x').touch()"

    with pytest.raises(AssertionError, match="Read-only file system"):
        stack.run("exec", "-T", "housekeeping", "python", "-c", script)


def test_the_doctor_in_a_container_finds_nothing_missing(stack: ComposeStack) -> None:
    answer = stack.run("exec", "-T", "api", "limpid", "doctor", "--json")

    assert json.loads(answer)


def test_prometheus_finds_the_api_and_every_worker(stack: ComposeStack) -> None:
    stack.run("--profile", "observe", "up", "-d", "--no-build", "prometheus")
    url = f"http://127.0.0.1:{stack.environment['PROMETHEUS_PORT']}/api/v1/query"

    def jobs_up() -> list[str]:
        try:
            answer = httpx.get(url, params={"query": "up == 1"}, timeout=10).json()
        except httpx.TransportError:
            return []
        return sorted(series["metric"]["job"] for series in answer["data"]["result"])

    wait_until(
        lambda: jobs_up() == ["limpid-api", "limpid-worker", "limpid-worker"],
        timeout_s=START_TIMEOUT_S,
        what="a scrape of the API, the job worker and the housekeeping worker",
    )

"""Jobs through real workers, on Postgres, Redis and S3 and on SQLite and folders: nothing lost, nothing run twice."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import redis
import soundfile

from core.filesystem_broker import MESSAGES_FOLDER
from core.jobs import Job, JobStatus, ReportRole
from core.run_policy import WORKER_LOST
from tests.integration.stack import Stack, children_of, has_loaded
from tests.servers import S3Account, wait_until
from worker.lease import utc_now

SAMPLE_RATE = 16_000
LONG_S = 600.0

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", params=["embedded", "real"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose clock and sweeps run; tests start the worker that they need."""
    opened = Stack.open(
        tmp_path_factory.mktemp(request.param), {} if request.param == "embedded" else _real_servers(request)
    )
    opened.start_housekeeping()
    yield opened
    opened.close()


@pytest.fixture
def worker(stack: Stack) -> subprocess.Popen[bytes]:
    """The stack's worker: the one that the test before left, or a new one."""
    return stack.job_worker()


@pytest.fixture
def gated_name(stack: Stack) -> Iterator[str]:
    """The name of a recording whose runs wait for `stack.open_gate`, or for the end of the test."""
    name = f"gated-{uuid4().hex}.wav"
    yield name
    stack.open_gate(name)


def _real_servers(request: pytest.FixtureRequest) -> dict[str, str]:
    account: S3Account = request.getfixturevalue("s3_account")
    return {
        "LIMPID_DATABASE_URL": request.getfixturevalue("module_postgres_database"),
        "LIMPID_BROKER_URL": request.getfixturevalue("redis_url"),
        "LIMPID_S3_ENDPOINT": account.endpoint,
        "LIMPID_S3_ACCESS_KEY": account.access_key,
        "LIMPID_S3_SECRET_KEY": account.secret_key,
        "LIMPID_S3_BUCKET": f"limpid-test-{uuid4().hex}",
    }


def make_recording(folder: Path, *, duration_s: float = 3.0, name: str = "talk.wav") -> Path:
    """Seeded noise of a duration that is no round number of anything."""
    samples = int(duration_s * SAMPLE_RATE) + 7
    path = folder / name
    soundfile.write(path, 0.1 * np.random.default_rng(7).standard_normal(samples), SAMPLE_RATE, subtype="PCM_16")
    return path


def assert_succeeded_once(stack: Stack, job: Job, recording: Path) -> None:
    """One committed result, of the input's exact length, and no trace of anything else."""
    assert job.error is None
    assert job.status is JobStatus.SUCCEEDED
    assert job.progress.fraction == 1.0
    assert job.report is not None
    output, *others = job.outputs
    assert output.role == "enhanced"
    assert {other.role for other in others} == set(ReportRole) - {ReportRole.LISTENING}  # the result is WAV itself
    with stack.backend.store.open_reader(output.key) as reader:
        data = reader.read()
    assert len(data) == output.bytes
    assert hashlib.sha256(data).hexdigest() == output.sha256
    with stack.backend.store.open_reader(output.key) as reader:
        assert soundfile.info(reader).frames == soundfile.info(recording).frames
    assert stack.stored_attempts(job) == {str(job.attempt)}
    wait_until(lambda: not _scratch_of(stack, job), timeout_s=10, what="the scratch folder is removed")


def _scratch_of(stack: Stack, job: Job) -> list[Path]:
    return list(stack.settings.resolved_scratch_dir.glob(f"{job.id}*"))


def test_a_job_goes_all_the_way(stack: Stack, worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    recording = make_recording(tmp_path)

    job = stack.wait_until_ended(stack.submit(recording))

    assert job.attempt == 1
    assert_succeeded_once(stack, job, recording)


def test_torch_is_loaded_in_the_child_only(stack: Stack, tmp_path: Path) -> None:
    _install_small_model(stack)
    recording = make_recording(tmp_path)
    stack.stop_job_worker()
    worker = stack.start_worker(has_faults=False)

    job = stack.wait_until_ended(stack.submit(recording, preset="speech-dns48"))

    assert_succeeded_once(stack, job, recording)
    [child] = children_of(worker)
    assert has_loaded(child, "libtorch")
    assert not has_loaded(worker.pid, "libtorch")
    assert not has_loaded(worker.pid, "numpy")
    stack.stop(worker)


def test_a_broken_recording_fails_with_a_code_and_the_worker_lives_on(
    stack: Stack, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    soundfile.write(broken, np.full(SAMPLE_RATE, np.nan, dtype=np.float32), SAMPLE_RATE, subtype="FLOAT")
    recording = make_recording(tmp_path)

    failed = stack.wait_until_ended(stack.submit(broken))
    succeeded = stack.wait_until_ended(stack.submit(recording))

    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert failed.error.code == "invalid_audio"
    assert failed.attempt == 1
    assert_succeeded_once(stack, succeeded, recording)


def test_a_killed_child_costs_an_attempt_and_nothing_else(
    stack: Stack, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    recording = make_recording(tmp_path, duration_s=LONG_S)
    job_id = stack.submit(recording)
    stack.wait_until_running(job_id, fraction=0.05)

    [child] = children_of(worker)
    os.kill(child, signal.SIGKILL)

    job = stack.wait_until_ended(job_id)
    assert job.attempt == 2
    assert job.uncounted_attempts == 0
    assert len(stack.runs_of(recording.name)) >= 2
    assert_succeeded_once(stack, job, recording)


def test_a_killed_worker_gives_its_job_to_the_next(
    stack: Stack, worker: subprocess.Popen[bytes], tmp_path: Path, gated_name: str
) -> None:
    recording = make_recording(tmp_path, name=gated_name)
    job_id = stack.submit(recording)
    stack.wait_until_running(job_id)

    [orphan] = children_of(worker)
    stack.stop(worker, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{orphan}").exists(), timeout_s=30, what="the orphaned child ends by itself")
    stack.open_gate(gated_name)
    stack.job_worker()

    job = stack.wait_until_ended(job_id)
    assert job.attempt == 2
    assert_succeeded_once(stack, job, recording)


def test_a_stopped_worker_gives_its_job_back_uncounted(
    stack: Stack, worker: subprocess.Popen[bytes], tmp_path: Path, gated_name: str
) -> None:
    recording = make_recording(tmp_path, name=gated_name)
    job_id = stack.submit(recording)
    stack.wait_until_running(job_id)

    assert stack.stop(worker, signal.SIGTERM) == 0

    waiting = stack.job(job_id)
    assert waiting.status is JobStatus.QUEUED
    assert waiting.uncounted_attempts == waiting.attempt
    assert not _scratch_of(stack, waiting)
    stack.open_gate(gated_name)
    stack.job_worker()
    job = stack.wait_until_ended(job_id)
    assert job.attempt == waiting.attempt + 1
    assert_succeeded_once(stack, job, recording)


def test_a_job_that_kills_every_worker_fails(stack: Stack, worker: subprocess.Popen[bytes], tmp_path: Path) -> None:
    name = f"poison-{uuid4().hex}.wav"
    recording = make_recording(tmp_path)

    poisoned = stack.wait_until_ended(stack.submit(make_recording(tmp_path, name=name)))
    healthy = stack.wait_until_ended(stack.submit(recording))

    assert poisoned.status is JobStatus.FAILED
    assert poisoned.error == WORKER_LOST
    assert poisoned.attempt == stack.settings.max_attempts
    assert len(stack.runs_of(name)) == stack.settings.max_attempts
    assert_succeeded_once(stack, healthy, recording)


def test_a_message_delivered_five_times_is_one_run(
    stack: Stack, worker: subprocess.Popen[bytes], tmp_path: Path, gated_name: str
) -> None:
    recording = make_recording(tmp_path, name=gated_name)
    job_id = stack.submit(recording)
    job = stack.job(job_id)
    for _ in range(4):
        stack.backend.queue.send_job(job_id, device=job.device, lane=job.lane)
    stack.open_gate(gated_name)

    ended = stack.wait_until_ended(job_id)
    after = stack.wait_until_ended(stack.submit(make_recording(tmp_path)))  # behind the copies in the queue

    assert after.status is JobStatus.SUCCEEDED
    assert len(stack.runs_of(gated_name)) == 1
    assert ended.attempt == 1
    assert_succeeded_once(stack, stack.job(job_id), recording)


def test_a_flushed_broker_loses_no_job(stack: Stack, tmp_path: Path) -> None:
    recording = make_recording(tmp_path)
    stack.stop_job_worker()
    job_ids = [stack.submit(recording) for _ in range(3)]

    _flush_broker(stack)
    stack.job_worker()

    for job_id in job_ids:
        assert_succeeded_once(stack, stack.wait_until_ended(job_id), recording)


def test_a_cancelled_job_frees_its_worker(
    stack: Stack, worker: subprocess.Popen[bytes], tmp_path: Path, gated_name: str
) -> None:
    job_id = stack.submit(make_recording(tmp_path, name=gated_name))
    stack.wait_until_running(job_id)

    asked = stack.backend.jobs.request_cancel(job_id, now=utc_now())
    cancelled = stack.wait_until_ended(job_id)
    next_one = stack.wait_until_ended(stack.submit(make_recording(tmp_path)))

    assert asked.status is JobStatus.CANCELLING
    assert cancelled.status is JobStatus.CANCELLED
    assert stack.stored_attempts(cancelled) == set()
    assert next_one.status is JobStatus.SUCCEEDED


def test_no_job_is_left_behind(stack: Stack) -> None:
    """Last in the module: whatever the other tests did, nothing is half done."""
    open_jobs = [job.id for job in stack.backend.jobs.list(limit=200).jobs if not job.status.is_terminal]

    assert open_jobs == []
    assert list(stack.settings.resolved_scratch_dir.iterdir()) == []


def _flush_broker(stack: Stack) -> None:
    url = stack.environment.get("LIMPID_BROKER_URL")
    if url is not None:
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    else:
        for message in (stack.settings.broker_dir / MESSAGES_FOLDER).iterdir():
            message.unlink()


def _install_small_model(stack: Stack) -> None:
    """A DNS48 of a few thousand untrained parameters: what it does to the sound does not matter here."""
    from core.models.checkpoints import CheckpointCard, save_checkpoint
    from core.models.demucs_causal import DemucsCausal

    network = DemucsCausal(hidden=4)
    card = CheckpointCard(
        name="dns48",
        architecture="demucs-causal",
        arguments={"hidden": 4},
        sample_rate=SAMPLE_RATE,
        licence="Apache-2.0",
        run_id="test",
    )
    save_checkpoint(stack.settings.resolved_models_dir / "dns48.safetensors", network.state_dict(), card=card)

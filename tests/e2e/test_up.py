"""`limpid up`: one job from submit to download, and a clean end however it is ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from tests.e2e.stack import (
    JOB_TIMEOUT_S,
    START_TIMEOUT_S,
    STOP_TIMEOUT_S,
    RunningStack,
    is_running,
    run_limpid,
    running_stack,
    wait_until,
)

FRAMES = 48_000 * 3 + 17  # three seconds and an odd rest


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    noise = np.random.default_rng(0).normal(scale=0.05, size=(FRAMES, 2))
    soundfile.write(path, noise, 48_000, subtype="PCM_24")
    return path


def finished_job(client: httpx.Client, location: str) -> dict[str, Any]:
    deadline = time.monotonic() + JOB_TIMEOUT_S
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(location, params={"wait": 5}).raise_for_status().json()
        if job["finished_at"]:
            return job
    raise AssertionError(f"the job did not end: {job}")


def test_submitted_file_comes_back_enhanced_in_its_exact_length(
    shared_stack: RunningStack, recording: Path, tmp_path: Path
) -> None:
    with httpx.Client(base_url=shared_stack.url, timeout=30) as client, recording.open("rb") as file:
        accepted = client.post("/api/v1/jobs", files={"file": ("talk.wav", file)}, data={"preset": "speech"})
        assert accepted.status_code == 202, accepted.text
        job = finished_job(client, accepted.headers["location"])
        output = job["outputs"][0]
        downloaded = client.get(output["href"], follow_redirects=True).raise_for_status().content

    (tmp_path / "enhanced.wav").write_bytes(downloaded)
    info = soundfile.info(tmp_path / "enhanced.wav")
    assert job["status"] == "succeeded", job["error"]
    assert job["progress"]["fraction"] == 1
    assert job["progress"]["rtf"] > 0
    assert (info.frames, info.samplerate, info.channels, info.subtype) == (FRAMES, 48_000, 2, "PCM_24")
    assert len(downloaded) == output["bytes"]


def test_reference_is_compared_with_and_not_among_the_results(shared_stack: RunningStack, recording: Path) -> None:
    with httpx.Client(base_url=shared_stack.url, timeout=30) as client, recording.open("rb") as file:
        files = {"file": ("talk.wav", file), "reference": ("clean.wav", recording.read_bytes())}
        accepted = client.post("/api/v1/jobs", files=files, data={"preset": "clean-only"})
        assert accepted.status_code == 202, accepted.text
        job = finished_job(client, accepted.headers["location"])

    assert job["status"] == "succeeded", job["error"]
    assert job["reference"]["name"] == "clean.wav"
    assert job["report"]["reference"]["before"]["si_sdr_db"] is None  # a perfect copy
    assert job["report"]["reference"]["after"]["si_sdr_db"] < 40
    assert {output["role"] for output in job["outputs"]} == {"enhanced", "waveform", "spectrogram", "peaks"}


def test_submit_command_waits_and_fetches(shared_stack: RunningStack, recording: Path, tmp_path: Path) -> None:
    done = run_limpid("submit", recording, "--url", shared_stack.url, "--wait", "-o", tmp_path / "results")

    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["talk.enhanced.wav"]
    assert soundfile.info(tmp_path / "results" / "talk.enhanced.wav").frames == FRAMES


def test_submit_command_fails_for_what_is_no_audio(shared_stack: RunningStack, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("words, not sound. " * 50, encoding="utf-8")

    done = run_limpid("submit", text, "--url", shared_stack.url, "--wait")

    assert done.returncode == 1
    assert "notes.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_second_stack_on_the_same_port_is_refused(shared_stack: RunningStack, tmp_path: Path) -> None:
    port = shared_stack.url.rpartition(":")[2]

    done = run_limpid("up", "--port", port, "--data-dir", tmp_path / "other")

    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_second_stack_on_the_same_folder_is_refused(shared_stack: RunningStack) -> None:
    done = run_limpid("up", "--port", "0", "--data-dir", shared_stack.data_dir)

    assert done.returncode == 1
    assert f"in use by process {shared_stack.process.pid}" in done.stderr


def test_killed_api_comes_back(shared_stack: RunningStack) -> None:
    api = next(pid for pid, command in shared_stack.descendants().items() if "cli.main api" in command)

    os.kill(api, signal.SIGKILL)
    wait_until(lambda: any("api runs again" in line for line in shared_stack.errors), timeout_s=30, what="restart")

    wait_until(lambda: answers(shared_stack.url), timeout_s=START_TIMEOUT_S, what="the API answers again")
    assert any("api was killed by SIGKILL" in line for line in shared_stack.errors)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_everything_with_status_0(tmp_path: Path, stop_signal: signal.Signals) -> None:
    with running_stack(tmp_path / "data") as stack:
        descendants = stack.descendants()

        status = stack.stop(stop_signal)

        left = {pid: command for pid, command in descendants.items() if is_running(pid)}
        assert len(descendants) >= 4
        assert (status, left) == (0, {}), "".join(stack.errors)
        assert not answers(stack.url)


def test_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with running_stack(tmp_path / "data") as stack:
        descendants = stack.descendants()

        stack.stop(signal.SIGKILL)

        wait_until(
            lambda: not any(is_running(pid) for pid in descendants), timeout_s=STOP_TIMEOUT_S, what="all have ended"
        )

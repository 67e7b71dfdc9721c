"""A recording of two hours: what the page shows of it comes from the server, and what is heard in small pieces."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Request

from core.audio.envelope import EnvelopeMeter
from core.backend import Backend, open_backend, prepare_backend
from core.ids import new_id
from core.jobs import InputFile, OutputFile, Progress
from core.object_keys import attempt_prefix, input_key
from core.settings import Settings
from tests.e2e.stack import wait_until
from tests.e2e.web.api_server import served_api
from tests.e2e.web.gestures import play_button, position_s
from tests.factories import make_job

SAMPLE_RATE = 8000
DURATION_S = 7200.0
FRAMES = int(DURATION_S * SAMPLE_RATE)
FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)
MAX_LOADED_BYTES = 1_000_000  # page, peaks and some seconds of three signals; the recording has 230 MB


@pytest.fixture
def server_url(job_url: str) -> str:
    return job_url.partition("/#")[0]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def job_url(browser: Browser, settings: Settings) -> Iterator[str]:
    """The page of a finished job whose files take no room on the disk: they are holes."""
    prepare_backend(settings)
    backend = open_backend(settings)
    job_id = _finish_long_job(backend, settings)
    with served_api(settings, backend) as url:
        yield f"{url}/#/jobs/{job_id}"
    backend.close()


def test_two_hours_are_shown_and_played_without_being_loaded(page: Page, job_url: str) -> None:
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))
    page.goto(job_url)

    play_button(page).wait_for()
    page.get_by_label("Position").fill("7000")
    play_button(page).click()
    wait_until(lambda: position_s(page) > 7000.5, timeout_s=20, what="sound near the end")

    lane = page.locator("canvas").nth(1)
    wait_until(lambda: _drawn_share(lane) > 0.02, timeout_s=10, what="the outline")
    sizes = {request.url: request.sizes()["responseBodySize"] for request in finished}
    assert any("peaks.json" in url for url in sizes)
    assert sum(sizes.values()) < MAX_LOADED_BYTES


def _drawn_share(lane: Locator) -> float:
    return float(
        lane.evaluate(
            """canvas => {
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                return data.filter((value, index) => index % 4 === 3 && value > 0).length / (data.length / 4);
            }"""
        )
    )


def _finish_long_job(backend: Backend, settings: Settings) -> str:
    job_id = new_id()
    prefix = attempt_prefix(job_id, 1)
    size_bytes = _put_silent_wav(backend, settings, input_key(job_id))
    _put_silent_wav(backend, settings, f"{prefix}00")
    peaks = _pulsing_peaks()
    for number in (1, 2):
        with backend.store.open_writer(f"{prefix}0{number}", media_type="application/json") as writer:
            writer.write(peaks)
            writer.commit()
    now = datetime.now(UTC)
    job = make_job(id=job_id, created_at=now)
    recording = InputFile(
        name="meeting.wav",
        key=input_key(job_id),
        bytes=size_bytes,
        sha256="0" * 64,
        media_type="audio/wav",
        duration_s=DURATION_S,
        sample_rate=SAMPLE_RATE,
        channels=1,
    )
    backend.jobs.add(replace(job, input=recording))
    running = backend.jobs.claim(job_id, worker="w", lease_s=60, now=now)
    assert running is not None
    assert running.lease_token is not None
    sound = OutputFile(
        name="meeting.enhanced.wav",
        role="enhanced",
        key=f"{prefix}00",
        media_type="audio/wav",
        bytes=size_bytes,
        sha256="1" * 64,
    )
    outlines = [
        OutputFile(
            name=f"meeting.{signal}.peaks.json",
            role="peaks",
            key=f"{prefix}0{number}",
            media_type="application/json",
            bytes=len(peaks),
            sha256="2" * 64,
        )
        for number, signal in ((1, "before"), (2, "enhanced"))
    ]
    backend.jobs.succeed(
        job_id,
        lease_token=running.lease_token,
        outputs=[sound, *outlines],
        report={"rtf": 0.02},
        warnings=[],
        progress=Progress(fraction=1.0, processed_s=DURATION_S, duration_s=DURATION_S, eta_s=0.0, rtf=0.02),
        now=now,
        expires_at=FAR_FUTURE,
    )
    return job_id


def _put_silent_wav(backend: Backend, settings: Settings, key: str) -> int:
    """Two hours of 16-bit silence under `key`; its bytes."""
    data_bytes = 2 * FRAMES
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE,
                         2 * SAMPLE_RATE, 2, 16, b"data", data_bytes)  # fmt: skip
    with backend.store.open_writer(key, media_type="audio/wav") as writer:
        writer.write(header)
        writer.commit()
    os.truncate(settings.objects_dir / key, len(header) + data_bytes)
    return len(header) + data_bytes


def _pulsing_peaks() -> bytes:
    meter = EnvelopeMeter(SAMPLE_RATE, frames=FRAMES)
    stretch = np.zeros((1, 60 * SAMPLE_RATE), np.float32)
    for minute in range(int(DURATION_S // 60)):
        stretch[:] = 0.5 if minute % 2 else 0.1
        stretch[:, ::2] *= -1
        meter.update(stretch)
    return meter.result().as_json()

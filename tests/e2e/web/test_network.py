"""The page where the network goes away for ten seconds, or the person does."""

from __future__ import annotations

from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stack import wait_until
from tests.e2e.web.conftest import JOB_TIMEOUT_MS, TIMEOUT_MS
from tests.e2e.web.cut_line import line_to
from tests.e2e.web.gestures import (
    UploadWatch,
    choose,
    choose_preset,
    expect_status,
    play_button,
    position_s,
    slow_uploads,
    start,
)
from tests.e2e.web.recordings import write_large_recording, write_noisy_tone

CUT_MS = 10_000.0
LONG_S = 90.0  # with the slowest bundled preset this takes long enough to be interrupted
LOST = "No connection to the server"


def test_upload_job_and_sound_outlive_ten_seconds_without_network(
    browser: Browser, server_url: str, tmp_path: Path
) -> None:
    recording = write_large_recording(tmp_path / "far.wav")
    with line_to(int(server_url.rpartition(":")[2])) as line:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"http://127.0.0.1:{line.port}")
        slow_uploads(page, bytes_per_s=3e6)
        watch = UploadWatch(page)
        choose(page, recording)
        choose_preset(page, "Speech, CNN mask")
        start(page)
        wait_until(watch.has_seen_progress, timeout_s=30, what="the upload goes on")

        for status in ("upload", "Running"):
            if status == "Running":
                expect_status(page, status)
            line.cut()
            expect(page.get_by_text(LOST)).to_be_visible()
            page.wait_for_timeout(CUT_MS)
            expect(page.get_by_text("far.wav").first).to_be_visible()
            line.mend()
            expect(page.get_by_text(LOST)).to_have_count(0)

        play_button(page).click(timeout=JOB_TIMEOUT_MS)
        wait_until(lambda: position_s(page) > 0.5, timeout_s=20, what="sound")
        page.close()
    jobs = httpx.get(f"{server_url}/api/v1/jobs").json()["jobs"]
    assert [job["status"] for job in jobs if job["input"]["name"] == "far.wav"] == ["succeeded"]


def test_job_goes_on_while_the_page_is_reloaded_and_is_cancelled(page: Page, tmp_path: Path) -> None:
    choose(page, write_noisy_tone(tmp_path / "long.wav", duration_s=LONG_S))
    choose_preset(page, "Speech, CNN mask")
    start(page)
    expect_status(page, "Running")

    page.reload()
    expect_status(page, "Running")
    page.get_by_role("button", name="Cancel").click()

    expect_status(page, "Cancelled")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete recording and results").click()
    expect(page.get_by_role("link", name="long.wav")).to_have_count(0)

"""The page as a person uses it: from a file on their disk to what they hear and to the result on their disk."""

from __future__ import annotations

from pathlib import Path

import soundfile
from playwright.sync_api import Page, expect

from tests.e2e.stack import wait_until
from tests.e2e.web.recordings import SAMPLE_RATE, write_noisy_tone


def choose(page: Page, *paths: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="files").click()
    chooser.value.set_files(paths)


def start(page: Page) -> None:
    page.get_by_role("button", name="Start").click()


def position_s(page: Page) -> float:
    return float(page.get_by_label("Position").input_value())


def test_recording_is_uploaded_compared_by_ear_and_downloaded(page: Page, tmp_path: Path) -> None:
    recording = write_noisy_tone(tmp_path / "talk.wav", duration_s=4)

    choose(page, recording)
    start(page)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    wait_until(lambda: position_s(page) > 0.5, timeout_s=10, what="sound")
    at_switch_s = position_s(page)
    page.get_by_role("radio", name="Before").check(force=True)
    wait_until(lambda: position_s(page) > at_switch_s + 0.3, timeout_s=10, what="going on from there")
    with page.expect_download() as download:
        page.get_by_role("link", name="After as WAV").click()

    saved = tmp_path / "saved.wav"
    download.value.save_as(saved)
    assert download.value.suggested_filename == "talk.enhanced.wav"
    assert soundfile.info(saved).frames == 4 * SAMPLE_RATE
    expect(page.get_by_role("rowheader", name="Noise floor")).to_be_visible()

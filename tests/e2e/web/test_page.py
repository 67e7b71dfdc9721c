"""The page as a person uses it: from a file on their disk to what they hear and to the result on their disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Browser, Page, expect

from tests.e2e.stack import wait_until
from tests.e2e.web.cut_line import line_to
from tests.e2e.web.gestures import (
    choose,
    choose_preset,
    expect_status,
    play_button,
    position_s,
    serious_faults,
    start,
)
from tests.e2e.web.recordings import SAMPLE_RATE, write_noisy_tone

LONG_S = 90.0  # with the slowest bundled preset this takes long enough to be interrupted


def test_recording_is_uploaded_compared_by_ear_and_downloaded(page: Page, tmp_path: Path) -> None:
    recording = write_noisy_tone(tmp_path / "talk.flac", duration_s=4)

    choose(page, recording)
    page.get_by_label("MP3").check()
    start(page)
    play_button(page).click()
    wait_until(lambda: position_s(page) > 0.5, timeout_s=10, what="sound")
    at_switch_s = position_s(page)
    page.keyboard.press("x")
    expect(page.get_by_role("radio", name="Before")).to_be_checked()
    wait_until(lambda: at_switch_s + 0.3 < position_s(page), timeout_s=10, what="going on from there")
    page.get_by_role("radio", name="Removed").check(force=True)
    page.get_by_role("button", name="Pause").click()

    for label, suffix in (("After as WAV", ".wav"), ("After as MP3", ".mp3")):
        with page.expect_download() as download:
            page.get_by_role("link", name=label).click()
        saved = tmp_path / f"saved{suffix}"
        download.value.save_as(saved)
        assert download.value.suggested_filename == f"talk.enhanced{suffix}"
        assert soundfile.info(saved).frames == 4 * SAMPLE_RATE
    expect(page.get_by_role("rowheader", name="Noise floor")).to_be_visible()


def test_marked_region_is_repeated(page: Page, tmp_path: Path) -> None:
    choose(page, write_noisy_tone(tmp_path / "loop.wav", duration_s=4))
    choose_preset(page, "Clean only")
    start(page)
    play_button(page).wait_for()
    lane = page.locator("canvas").first.bounding_box()
    assert lane is not None

    page.mouse.move(lane["x"] + lane["width"] * 0.5, lane["y"] + 20)
    page.mouse.down()
    page.mouse.move(lane["x"] + lane["width"] * 0.625, lane["y"] + 20, steps=4)
    page.mouse.up()
    wait_until(lambda: position_s(page) > 0, timeout_s=10, what="the jump to the region")
    play_button(page).click()

    heard_s: list[float] = []
    wait_until(lambda: _falls(heard_s, position_s(page)), timeout_s=10, what="the start again")
    assert all(1.9 <= time_s <= 2.6 for time_s in heard_s)


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


def test_files_that_fail_say_why(page: Page, tmp_path: Path) -> None:
    text = tmp_path / "notes.wav"
    text.write_text("words, not sound. " * 50, encoding="utf-8")
    broken = tmp_path / "broken.wav"
    samples = np.zeros(SAMPLE_RATE, np.float32)
    samples[SAMPLE_RATE // 2] = np.nan
    soundfile.write(broken, samples, SAMPLE_RATE, subtype="FLOAT")

    choose(page, text)
    start(page)
    expect(page.get_by_role("alert")).to_contain_text("not audio")
    page.get_by_role("button", name="Dismiss notes.wav").click()
    choose(page, broken)
    start(page)

    expect_status(page, "Failed")
    expect(page.get_by_role("alert")).to_contain_text("0.5")
    expect(page.get_by_role("button", name="Retry")).to_be_enabled()


def test_several_files_become_a_batch_with_one_archive(page: Page, tmp_path: Path) -> None:
    recordings = [write_noisy_tone(tmp_path / f"part-{number}.wav", duration_s=1) for number in (1, 2)]

    choose(page, *recordings)
    choose_preset(page, "Clean only")
    start(page)

    expect(page.get_by_role("heading", name="Batch of 2 recordings")).to_be_visible()
    archive = page.get_by_role("link", name="Everything as ZIP")
    with page.expect_download() as download:
        archive.click()
    assert download.value.suggested_filename.endswith(".zip")


def test_upload_and_progress_outlive_a_lost_network(browser: Browser, server_url: str, tmp_path: Path) -> None:
    recording = write_noisy_tone(tmp_path / "far.wav", duration_s=30)
    lost = "No connection to the server"
    with line_to(int(server_url.rpartition(":")[2])) as line:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(f"http://127.0.0.1:{line.port}")
        choose(page, recording)
        choose_preset(page, "Speech, CNN mask")

        line.cut()
        start(page)
        expect(page.get_by_text(lost)).to_be_visible()
        line.mend()
        expect_status(page, "Running")
        line.cut()
        expect(page.get_by_text(lost)).to_be_visible()
        line.mend()

        expect(page.get_by_text(lost)).to_have_count(0)
        play_button(page).wait_for()
        page.close()


def test_phone_shows_all_without_scrolling_sideways(browser: Browser, server_url: str, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme="dark", has_touch=True)
    page.goto(server_url)
    expect(page.get_by_role("radio", name="Clean only")).to_be_visible()
    assert serious_faults(page) == []
    choose(page, write_noisy_tone(tmp_path / "a recording with rather a long name.wav", duration_s=1))
    choose_preset(page, "Clean only")
    start(page)

    play_button(page).tap()

    play_button(page).wait_for()  # it has been played to its end
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert serious_faults(page) == []
    page.get_by_role("button", name="Use the light theme").tap()
    assert serious_faults(page) == []
    page.close()


def _falls(heard_s: list[float], now_s: float) -> bool:
    heard_s.append(now_s)
    return len(heard_s) > 1 and now_s < heard_s[-2]

"""Recordings on their way in, as a person sends them: chosen, dropped, in folders, again, and those that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from tests.e2e.web.conftest import Prepared
from tests.e2e.web.gestures import choose, choose_preset, drop, expect_status, play_button, start
from tests.e2e.web.recordings import SAMPLE_RATE, write_noisy_tone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings at two depths, beside what is none."""
    folder = tmp_path / "tape 7"
    (folder / "side b").mkdir(parents=True)
    write_noisy_tone(folder / "part-1.wav", duration_s=1)
    write_noisy_tone(folder / "side b" / "part-2.flac", duration_s=1)
    (folder / "notes.txt").write_text("found in the attic", encoding="utf-8")
    (folder / ".part-3.wav").write_bytes(b"a file manager's own")
    return folder


def test_phone_sends_a_recording_and_plays_it(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    choose(page, write_noisy_tone(tmp_path / "a recording with rather a long name.wav", duration_s=1))
    choose_preset(page, "Clean only")
    expect(page.get_by_role("slider", name="Strength")).to_be_disabled()
    start(page)

    play_button(page).click()

    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    play_button(page).wait_for()  # it has been played to its end
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_dropped_folder_becomes_a_batch_with_one_archive(page: Page, folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    text = tmp_path / "words.wav"
    text.write_text("words, not sound. " * 50, encoding="utf-8")
    drop(page, folder, empty, text)
    left_out = [f"Leave out {name}" for name in ("empty.wav", "part-1.wav", "part-2.flac", "words.wav")]
    names = page.get_by_role("button", name="Leave out")
    expect(names).to_have_count(4)
    assert names.evaluate_all("buttons => buttons.map(button => button.ariaLabel)") == left_out

    choose_preset(page, "Clean only")
    start(page)

    expect(page.get_by_role("heading", name="Batch of 3 recordings")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("empty")
    expect(page.get_by_role("listitem").filter(has_text="words.wav").last).to_contain_text("not audio")
    expect(page.get_by_text("3 of 3 ended · 1 failed")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Everything as ZIP").click()
    assert download.value.suggested_filename.endswith(".zip")


def test_chosen_folder_gives_its_recordings_alone(page: Page, folder: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="folder").click()
    chooser.value.set_files(folder)

    expect(page.get_by_role("button", name="Leave out")).to_have_count(2)
    page.get_by_role("button", name="Leave out part-1.wav").click()
    expect(page.get_by_role("button", name="Start")).to_have_text("Start")


def test_files_that_fail_say_why_and_are_tried_again(page: Page, tmp_path: Path) -> None:
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
    choose_preset(page, "Clean only")
    start(page)
    expect_status(page, "Failed")
    expect(page.get_by_role("alert")).to_contain_text("0.5")

    first = page.url
    page.get_by_role("button", name="Retry").click()
    page.wait_for_url(lambda url: url != first)
    expect_status(page, "Failed")
    expect(page.get_by_text("Preset clean-only")).to_be_visible()


def test_recording_is_run_again_without_being_sent_again(page: Page, prepared: Prepared) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/uploads" in request.url else None)
    page.goto(prepared.url)

    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("sent before")).to_be_visible()
    choose_preset(page, "Clean only")
    page.get_by_label("MP3").check()
    start(page)

    expect(page.get_by_text("Preset clean-only")).to_be_visible()
    expect(page.get_by_role("link", name="After as MP3")).to_be_visible()
    assert page.url != prepared.url
    assert sent == []

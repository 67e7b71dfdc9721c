"""What a person hears and sees of a finished job, and takes home."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Page, expect

from tests.e2e.stack import wait_until
from tests.e2e.web.conftest import Prepared
from tests.e2e.web.gestures import play_button, position_s
from tests.e2e.web.recordings import SAMPLE_RATE

LISTEN_IN = """() => {
    window.heard = { starts: [], levels: [] };
    const { start } = AudioBufferSourceNode.prototype;
    AudioBufferSourceNode.prototype.start = function (when, ...others) {
        window.heard.starts.push([when, this.buffer.length]);
        return start.call(this, when, ...others);
    };
    const { linearRampToValueAtTime } = AudioParam.prototype;
    AudioParam.prototype.linearRampToValueAtTime = function (level, when) {
        window.heard.levels.push([when, level]);
        return linearRampToValueAtTime.call(this, level, when);
    };
}"""


@pytest.fixture
def result(page: Page, prepared: Prepared) -> Page:
    """The page with the finished job, ready to be played."""
    page.goto(prepared.url)
    play_button(page).wait_for()
    return page


def test_signals_change_at_the_same_sample_and_loudness(result: Page, prepared: Prepared) -> None:
    result.evaluate(LISTEN_IN)
    play_button(result).click()
    wait_until(lambda: position_s(result) > 0.5, timeout_s=20, what="sound")

    at_switch_s = position_s(result)
    result.keyboard.press("x")
    expect(result.get_by_role("radio", name="Before")).to_be_checked()
    wait_until(lambda: position_s(result) > at_switch_s + 2.5, timeout_s=20, what="going on from there")
    result.get_by_role("button", name="Pause").click()

    heard = result.evaluate("window.heard")
    assert position_s(result) > at_switch_s
    _assert_without_gap(heard["starts"], voices=3)
    report = prepared.job["report"]
    before_lufs, after_lufs = report["input"]["loudness_lufs"], report["outputs"]["enhanced"]["loudness_lufs"]
    quieter = 10 ** (min(0.0, after_lufs - before_lufs) / 20)
    assert sorted(level for _, level in heard["levels"]) == pytest.approx([0, 0, quieter])
    assert len({when for when, _ in heard["levels"]}) == 1


def _assert_without_gap(starts: list[tuple[float, int]], *, voices: int) -> None:
    """Every voice has the same pieces at the same times, each of which begins where the one before it ends."""
    pieces = sorted({(when, frames) for when, frames in starts})
    assert len(pieces) >= 3
    assert len(starts) == voices * len(pieces)
    for (when, frames), (following, _) in pairwise(pieces):
        assert following - when == pytest.approx(frames / SAMPLE_RATE, abs=0.1 / SAMPLE_RATE)


def test_marked_region_is_repeated(result: Page) -> None:
    lane = result.locator("canvas").first.bounding_box()
    assert lane is not None

    result.mouse.move(lane["x"] + lane["width"] * 0.5, lane["y"] + 20)
    result.mouse.down()
    result.mouse.move(lane["x"] + lane["width"] * 0.55, lane["y"] + 20, steps=4)
    result.mouse.up()
    wait_until(lambda: position_s(result) > 5.5, timeout_s=10, what="the jump to the region")
    play_button(result).click()

    heard_s: list[float] = []
    wait_until(lambda: _falls(heard_s, position_s(result)), timeout_s=20, what="the start again")
    assert all(5.9 <= time_s <= 6.7 for time_s in heard_s)


def _falls(heard_s: list[float], now_s: float) -> bool:
    heard_s.append(now_s)
    return len(heard_s) > 1 and now_s < heard_s[-2]


def test_keyboard_does_what_the_buttons_do(result: Page) -> None:
    for key, label in (("1", "Before"), ("2", "After"), ("3", "Removed"), ("x", "Before"), ("r", "Removed")):
        result.keyboard.press(key)
        expect(result.get_by_role("radio", name=label)).to_be_checked()
    result.keyboard.press("m")
    expect(result.get_by_label("Same loudness")).not_to_be_checked()
    result.keyboard.press("ArrowRight")
    result.keyboard.press("Shift+ArrowLeft")
    wait_until(lambda: position_s(result) == pytest.approx(4), timeout_s=5, what="5 s on and 1 s back")
    result.keyboard.press("l")
    expect(result.get_by_role("button", name="0:04.0 – 0:08.0")).to_have_attribute("aria-pressed", "true")
    result.keyboard.press("l")
    result.keyboard.press("Home")
    wait_until(lambda: position_s(result) == 0, timeout_s=5, what="the start")
    result.keyboard.press("Space")
    expect(result.get_by_role("button", name="Pause")).to_be_visible()
    result.keyboard.press("Space")
    expect(play_button(result)).to_be_visible()


def test_handle_uncovers_one_spectrogram_or_the_other(result: Page) -> None:
    handle = result.get_by_role("slider", name="Comparison of spectrograms")
    covering = result.get_by_alt_text("Spectrogram: After").locator("..")
    box, panel = handle.bounding_box(), covering.bounding_box()
    assert box is not None
    assert panel is not None

    result.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    result.mouse.down()
    result.mouse.move(panel["x"] + panel["width"] * 0.25, box["y"] + 20, steps=5)
    result.mouse.up()

    expect(handle).to_have_attribute("aria-valuenow", "25")
    assert covering.evaluate("element => element.style.clipPath") == "inset(0px 0px 0px 25%)"
    handle.press("ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "27")
    handle.press("End")
    expect(handle).to_have_attribute("aria-valuenow", "100")
    assert position_s(result) == 0
    expect(result.get_by_role("button", name="Loop")).to_have_attribute("aria-pressed", "false")


def test_every_format_is_downloaded(result: Page, prepared: Prepared, tmp_path: Path) -> None:
    sums = {output["name"]: output["bytes"] for output in prepared.job["outputs"]}

    for role, label in (("enhanced", "After"), ("residual", "Removed")):
        for format in ("wav", "mp3", "flac", "opus"):
            with result.expect_download() as download:
                result.get_by_role("link", name=f"{label} as {format.upper()}").click()
            saved = tmp_path / download.value.suggested_filename
            download.value.save_as(saved)
            assert saved.name == f"talk.{role}.{format}"
            assert saved.stat().st_size == sums[saved.name]
    assert soundfile.info(tmp_path / "talk.enhanced.flac").frames == soundfile.info(prepared.recording).frames


def test_report_says_what_was_measured_and_done(result: Page) -> None:
    noise_floor = result.get_by_role("row").filter(has=result.get_by_role("rowheader", name="Noise floor"))
    expect(noise_floor.get_by_role("cell").last).to_contain_text("−")  # it became less
    done = result.get_by_role("region", name="What was done")
    for fact in ("speech, version", "limpid-speech, 16 kHz", "Apache-2.0", "SHA-256"):
        expect(done).to_contain_text(fact)

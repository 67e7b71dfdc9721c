"""The page by keyboard and screen reader: axe-core finds nothing serious in either theme, on a desk or a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.e2e.web.conftest import Prepared
from tests.e2e.web.gestures import play_button, serious_faults

DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def result(request: pytest.FixtureRequest, browser: Browser, prepared: Prepared) -> Iterator[Page]:
    """A finished job, in the dark theme of the person's system."""
    page = browser.new_page(viewport=request.param, color_scheme="dark")
    page.goto(prepared.url)
    play_button(page).wait_for()
    yield page
    page.close()


def test_nothing_serious_is_wrong_with_result_and_list(result: Page) -> None:
    for theme in ("dark", "light"):
        expect(result.locator(f"html[data-theme={theme}]")).to_be_attached()
        assert serious_faults(result) == []
        _assert_no_scrolling_sideways(result)
        result.get_by_role("link", name="Limpid").click()
        expect(result.get_by_role("radio", name="Clean only")).to_be_visible()
        assert serious_faults(result) == []
        _assert_no_scrolling_sideways(result)
        result.go_back()
        play_button(result).wait_for()
        result.get_by_role("button", name="Use the light theme" if theme == "dark" else "Use the dark theme").click()


def test_keyboard_reaches_everything_and_shows_where_it_is(result: Page) -> None:
    result.keyboard.press("Tab")
    expect(result.get_by_role("button", name="Skip to content")).to_be_focused()
    result.keyboard.press("Enter")
    expect(result.get_by_role("main")).to_be_focused()

    reached = []
    for _ in range(30):
        result.keyboard.press("Tab")
        reached.append(result.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent"))

    assert {"Play", "Position", "Volume"} <= {*reached}
    assert any("Comparison of spectrograms" in name for name in reached)
    assert any("After as WAV" in name for name in reached)


def _assert_no_scrolling_sideways(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

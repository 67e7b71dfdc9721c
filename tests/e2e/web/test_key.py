"""The page of a server that asks for API keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from core.access.keys import Scope, create_key
from core.backend import open_backend, prepare_backend
from core.settings import Settings
from tests.e2e.web.api_server import served_api
from tests.e2e.web.gestures import choose, start
from tests.e2e.web.recordings import write_noisy_tone


@dataclass(frozen=True, kw_only=True)
class GuardedServer:
    """An API with authentication on, without workers, and a key that it takes."""

    url: str
    key: str


@pytest.fixture
def guarded(browser: Browser, tmp_path: Path) -> Iterator[GuardedServer]:
    settings = Settings(data_dir=tmp_path / "data", auth="on")
    prepare_backend(settings)
    backend = open_backend(settings)
    _, key = create_key("page", {Scope.SUBMIT, Scope.READ}, keys=backend.keys, now=datetime.now(UTC))
    with served_api(settings, backend) as url:
        yield GuardedServer(url=url, key=key)
    backend.close()


def test_key_is_asked_for_used_and_forgotten_with_the_tab(
    browser: Browser, guarded: GuardedServer, tmp_path: Path
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(guarded.url)
    page.locator("#api-key").fill("lmp_wrong")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#api-key")).to_have_value("")
    page.locator("#api-key").fill(guarded.key)
    page.get_by_role("button", name="Use this key").click()

    choose(page, write_noisy_tone(tmp_path / "mine.wav", duration_s=1))
    start(page)

    expect(page.get_by_role("heading", name="mine.wav")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="mine.wav")).to_be_visible()
    assert guarded.key not in str(context.storage_state())
    stranger = context.new_page()
    stranger.goto(guarded.url)
    expect(stranger.locator("#api-key")).to_be_visible()
    expect(stranger.get_by_text("mine.wav")).to_have_count(0)
    context.close()

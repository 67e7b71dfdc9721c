"""A real Chromium before the embedded stack. Without Chromium or the built page these tests are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from limpid_client.client import LimpidClient
from tests.e2e.stack import JOB_TIMEOUT_S, running_stack
from tests.e2e.web.recordings import write_noisy_tone

ROOT = Path(__file__).parents[3]
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
JOB_TIMEOUT_MS = 1000 * JOB_TIMEOUT_S
TIMEOUT_MS = 60_000.0  # the first job loads PyTorch, which takes a busy machine half a minute


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("Chromium was not found: `make browser` installs it where apt-get can")
    if not (ROOT / "web" / "dist" / "index.html").is_file():
        pytest.skip("the page has not been built: `make web` does it where npm is")
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """LIMPID_TEST_URL, else the embedded stack of our own."""
    external = os.environ.get("LIMPID_TEST_URL")
    if external:
        yield external
    else:
        with running_stack(tmp_path_factory.mktemp("page") / "data") as stack:
            yield stack.url


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A finished job that tests look at and leave as it is."""

    url: str  # of the page that shows it
    job: dict[str, Any]
    recording: Path


@pytest.fixture(scope="session")
def prepared(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A noisy tone of 12 s, enhanced into four formats, with what was removed."""
    recording = write_noisy_tone(tmp_path_factory.mktemp("prepared") / "talk.flac", duration_s=12)
    options = {
        "overrides": {"residual": True, "listening": True},
        "outputs": [{"format": format} for format in ("wav", "mp3", "flac", "opus")],
    }
    with LimpidClient(server_url) as client:
        job = client.wait(client.submit(recording, options=options), timeout_s=JOB_TIMEOUT_S)
    assert job.has_succeeded, job.error_detail
    return Prepared(url=f"{server_url}/#/jobs/{job.id}", job=dict(job.document), recording=recording)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server_url: str) -> Iterator[Page]:
    """The page, open; whatever a test does with it, nothing may throw, and nothing may be asked of another origin."""
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    page.on("request", lambda request: faults.append(request.url) if not _is_own(request.url, server_url) else None)
    page.goto(server_url)
    yield page
    assert faults == []


def _is_own(url: str, origin: str) -> bool:
    return url.removeprefix("blob:").startswith(f"{origin}/")

"""What a browser loads of a server that nobody has used yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

from core.backend import open_backend, prepare_backend
from core.settings import Settings
from tests.e2e.web.api_server import served_api
from tests.e2e.web.gestures import serious_faults

MAX_SCRIPT_BYTES = 250_000  # compressed


@pytest.fixture(scope="module")
def server_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API without jobs."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("unused") / "data")
    prepare_backend(settings)
    backend = open_backend(settings)
    with served_api(settings, backend) as url:
        yield url
    backend.close()


def test_page_is_light_and_says_what_to_do(context: BrowserContext, server_url: str) -> None:
    page = context.new_page()
    scripts: list[Response] = []
    page.on("response", lambda it: scripts.append(it) if it.request.resource_type == "script" else None)

    page.goto(server_url)

    expect(page.get_by_text("Drop recordings here")).to_be_visible()
    expect(page.get_by_text("What you send appears here.")).to_be_visible()
    assert scripts
    assert {it.headers["content-encoding"] for it in scripts} == {"gzip"}
    assert sum(it.request.sizes()["responseBodySize"] for it in scripts) <= MAX_SCRIPT_BYTES


@pytest.mark.parametrize("width", [1440, 360])
def test_nothing_serious_is_wrong_with_the_empty_page(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    expect(page.get_by_role("radio", name="Clean only")).to_be_visible()
    assert serious_faults(page) == []
    page.get_by_role("button", name="Use the").click()
    assert serious_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_reference_of_the_api_loads_nothing_from_elsewhere(page: Page) -> None:
    page.get_by_role("link", name="API", exact=True).click()

    page.get_by_text("/api/v1/presets", exact=True).click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    expect(page.get_by_text('"title": "Clean only"')).to_be_visible()

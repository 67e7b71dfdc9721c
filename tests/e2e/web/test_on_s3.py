"""The page of a server whose recordings lie on a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from core.backend import open_backend
from core.storage_s3 import S3ObjectStore
from tests.e2e.web.api_server import served_api
from tests.e2e.web.conftest import JOB_TIMEOUT_MS, TIMEOUT_MS
from tests.e2e.web.gestures import (
    UploadWatch,
    choose,
    choose_preset,
    play_button,
    position_s,
    slow_uploads,
    start,
)
from tests.e2e.web.recordings import write_large_recording
from tests.integration.stack import Stack
from tests.servers import S3Account, free_port, wait_until


@pytest.fixture(scope="module")
def stack(browser: Browser, s3_account: S3Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    servers = {
        "LIMPID_S3_ENDPOINT": s3_account.endpoint,
        "LIMPID_S3_BUCKET": f"limpid-test-{uuid4().hex}",
        "LIMPID_S3_ACCESS_KEY": s3_account.access_key,
        "LIMPID_S3_SECRET_KEY": s3_account.secret_key,
    }
    stack = Stack.open(tmp_path_factory.mktemp("page-on-s3") / "data", servers)
    yield stack
    stack.close()
    assert isinstance(stack.backend.store, S3ObjectStore)
    stack.backend.store.delete_prefix("jobs")
    stack.backend.store._client.delete_bucket(Bucket=stack.settings.s3_bucket)


@pytest.fixture(scope="module")
def server_url(stack: Stack) -> Iterator[str]:
    with served_api(stack.settings, stack.backend) as url:
        yield url


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_large_recording(tmp_path / "large.wav")  # two parts


@pytest.fixture
def bare_page(browser: Browser, server_url: str) -> Iterator[Page]:
    page = browser.new_page(accept_downloads=True)
    page.set_default_timeout(TIMEOUT_MS)
    page.goto(server_url)
    yield page
    page.close()


def test_parts_go_straight_to_the_store_and_results_come_from_it(
    bare_page: Page, stack: Stack, server_url: str, s3_account: S3Account, recording: Path, tmp_path: Path
) -> None:
    page = bare_page
    put_to: list[str] = []
    origins: set[str] = set()
    faults: list[str] = []
    page.on("request", lambda request: origins.add(_origin_of(request.url)))
    page.on("requestfinished", lambda request: put_to.append(request.url) if request.method == "PUT" else None)
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    slow_uploads(page)
    watch = UploadWatch(page)
    stack.start_worker(has_faults=False)

    choose(page, recording)
    choose_preset(page, "Clean only")
    start(page)
    play_button(page).click(timeout=JOB_TIMEOUT_MS)
    wait_until(lambda: position_s(page) > 0.2, timeout_s=30, what="sound")
    with page.expect_download() as download:
        page.get_by_role("link", name="After as WAV").click()

    assert [_origin_of(url) for url in put_to] == [s3_account.endpoint] * 2
    assert watch.has_seen_progress()
    assert download.value.url.startswith(f"{s3_account.endpoint}/")
    download.value.save_as(tmp_path / "saved.wav")
    assert soundfile.info(tmp_path / "saved.wav").frames == soundfile.info(recording).frames
    assert origins <= {server_url, s3_account.endpoint}
    assert faults == []
    policy = httpx.get(server_url).headers["Content-Security-Policy"]
    assert f"connect-src 'self' {s3_account.endpoint};" in policy


def test_store_that_the_browser_cannot_reach_is_filled_through_the_server(
    browser: Browser, stack: Stack, recording: Path
) -> None:
    hidden = stack.settings.model_copy(update={"s3_public_endpoint": f"http://127.0.0.1:{free_port()}"})
    backend = open_backend(hidden)
    put_to: list[str] = []
    with served_api(hidden, backend) as url:
        page = browser.new_page()
        page.on("requestfinished", lambda request: put_to.append(request.url) if request.method == "PUT" else None)
        page.goto(url)

        choose(page, recording)
        start(page)

        expect(page.get_by_role("heading", name="large.wav")).to_be_visible()
        job = backend.jobs.get(page.url.rpartition("/")[2])
        page.close()
    assert [_origin_of(one) for one in put_to] == [url] * 2
    with backend.store.open_reader(job.input.key) as stored:
        assert stored.read() == recording.read_bytes()
    backend.close()


def _origin_of(url: str) -> str:
    parts = urlsplit(url.removeprefix("blob:"))
    return f"{parts.scheme}://{parts.netloc}"

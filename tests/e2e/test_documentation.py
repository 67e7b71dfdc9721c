"""The documentation, done as it is written: each page's steps in their order, in a checkout, on a running stack.

What is not run here, and why, is in tests/documentation/statements.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from core.audio.encode import AudioWriter
from tests.documentation.pages import ROOT, pages
from tests.documentation.script import script_of
from tests.e2e.stack import RunningStack, wait_until
from tests.servers import free_port
from tests.web_server import Received, Reply, WebServer, web_server

CARDS = Path("core/models/weights")  # a unit test sees that the guide runs their commands
SCRIPTS = {page: script for page in pages() if page.parent != CARDS and (script := script_of(page))}
PAGE_TIMEOUT_S = 600  # a page starts up to twenty programs, on a machine that may be busy
NOISY = ROOT / "cli/recordings/noisy.flac"
CLEAN = ROOT / "cli/recordings/clean.flac"

WRITTEN_URL = "http://127.0.0.1:8000"
WRITTEN_SITE = "https://example.com"
WRITTEN_PORT = "9000"  # of the receiver that a page starts

COPIES = ("noisy.wav", "1.wav", "2.wav", "reel.wav", "talk.m4a")
FRAMES = 130_048  # what of the recording is copied: whole frames of AAC, which some decoders do not cut
RESULTS = {
    Path("README.md"): ("noisy.enhanced.wav", "enhanced.wav"),
    Path("docs/start.md"): ("enhanced.wav", "at-once.wav", "results/noisy.enhanced.wav", "noisy.enhanced.wav"),
    Path("docs/rest-api.md"): ("talk.enhanced.flac",),
    Path("docs/guides/batches-and-folders.md"): ("out/talk.enhanced.wav",),
    Path("docs/presets-and-models.md"): ("out/reel_denoised_s5.wav", "out/reel_residual_s5.wav"),
    Path("docs/python-client.md"): ("talk.enhanced.wav",),
    Path("docs/report.md"): ("out.wav",),
}
"""What pages make of the bundled recording or of a copy, by their own words: exactly as long as that."""

pytestmark = pytest.mark.timeout(PAGE_TIMEOUT_S + 60)


@pytest.fixture(scope="module")
def site() -> Iterator[WebServer]:
    """Stands for https://example.com: it has every recording, and takes every event."""

    def answer(request: Received) -> Reply:
        return Reply(status=204) if request.method == "POST" else Reply(body=NOISY.read_bytes())

    with web_server(answer) as server:
        yield server


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips to train on, too few to learn anything from."""
    folder = tmp_path_factory.mktemp("corpus")
    noise = np.random.default_rng(0)
    for kind in ("speech", "noise", "music", "effects", "rir"):
        (folder / kind).mkdir()
        for number in range(4):
            soundfile.write(folder / kind / f"{number}.wav", noise.normal(scale=0.1, size=48_000), 16_000)
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recordings that the pages speak of."""
    folder = tmp_path_factory.mktemp("recordings")
    noisy, rate = soundfile.read(NOISY, frames=FRAMES, dtype="float32", always_2d=True)
    for name in COPIES:
        with AudioWriter(folder / name, Path(name).suffix[1:], sample_rate=rate, channels=1) as writer:
            writer.write(noisy.T)
    soundfile.write(folder / "clean.wav", soundfile.read(CLEAN, frames=FRAMES)[0], rate)
    return folder


@pytest.fixture
def checkout(tmp_path: Path, shared_stack: RunningStack, corpus: Path, recordings: Path) -> Path:
    """A folder that looks like a checkout in which `make up` runs, with a reader's recordings."""
    (tmp_path / "cli").symlink_to(ROOT / "cli")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "limpid-data").symlink_to(shared_stack.data_dir)
    (tmp_path / "CORPUS").symlink_to(corpus)
    for recording in recordings.iterdir():
        shutil.copy(recording, tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", SCRIPTS, ids=str)
def test_the_page_can_be_done_as_it_is_written(
    page: Path, checkout: Path, shared_stack: RunningStack, site: WebServer
) -> None:
    failed_before = failed_jobs(shared_stack)
    script = SCRIPTS[page].replace(WRITTEN_URL, shared_stack.url).replace(WRITTEN_SITE, site.url("").rstrip("/"))
    environment = os.environ | {
        "LIMPID_URL": shared_stack.url,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }

    done = subprocess.run(
        ["bash", "-c", script.replace(WRITTEN_PORT, str(free_port()))],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PAGE_TIMEOUT_S,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    for name in RESULTS.get(page, ()):
        assert soundfile.info(checkout / name).frames in (FRAMES, soundfile.info(NOISY).frames), name
    wait_until_idle(shared_stack)
    assert failed_jobs(shared_stack) <= failed_before  # what the page submitted ended well, or was cancelled as it says


def wait_until_idle(stack: RunningStack) -> None:
    wait_until(
        lambda: not any(jobs_that_are(status, stack) for status in ("queued", "running", "cancelling")),
        timeout_s=PAGE_TIMEOUT_S,
        what="the end of the page's jobs",
    )


def failed_jobs(stack: RunningStack) -> set[str]:
    return jobs_that_are("failed", stack)


def jobs_that_are(status: str, stack: RunningStack) -> set[str]:
    answer = httpx.get(f"{stack.url}/api/v1/jobs", params={"status": status, "limit": 200}, timeout=30)
    return {job["id"] for job in answer.raise_for_status().json()["jobs"]}


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "start" / "index.html").is_file()

"""The five-minute start, done as it is written: its blocks in order, in a checkout, against a running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from tests.documentation import ROOT, fenced_blocks
from tests.e2e.stack import RunningStack, running_stack

PAGE = Path("docs/start.md")
RECORDING = Path("cli/recordings/noisy.flac")
WRITTEN_URL = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a checkout: the recording, and the environment's commands in .venv/bin."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "cli").symlink_to(ROOT / "cli")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    return folder


def frames_of(path: Path) -> int:
    return int(soundfile.info(path).frames)


def test_the_shell_blocks_do_what_the_page_says(stack: RunningStack, checkout: Path) -> None:
    script = "set -euo pipefail\n" + "".join(fenced_blocks(PAGE, "bash")).replace(WRITTEN_URL, stack.url)

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=checkout,
        env=os.environ | {"LIMPID_URL": stack.url},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads((checkout / "done.json").read_text())["status"] == "succeeded"
    expected = frames_of(ROOT / RECORDING)
    results = list((checkout / "results").glob("*.wav"))
    assert [frames_of(path) for path in (checkout / "enhanced.wav", checkout / "at-once.wav", *results)] == [
        expected
    ] * 3


def test_the_python_example_fetches_the_result(stack: RunningStack, checkout: Path) -> None:
    (script,) = fenced_blocks(PAGE, "python")

    done = subprocess.run(
        [sys.executable, "-c", script.replace(WRITTEN_URL, stack.url)],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert frames_of(checkout / "noisy.enhanced.wav") == frames_of(ROOT / RECORDING)


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

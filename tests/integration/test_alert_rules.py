"""Prometheus' own tool on our configuration: it is valid, and the alerts fire when they should."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: apt-get install prometheus)"
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "deploy/observe/prometheus/prometheus.yml"),
        ("test", "rules", "tests/integration/alerts_test.yml"),
    ],
    ids=["configuration", "alerts"],
)
def test_promtool_has_nothing_to_object(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr

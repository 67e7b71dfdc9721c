"""The embedded stack: what it starts, and when it counts as ready."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from cli.embedded import child_commands, is_serving
from core.settings import Settings


def metrics_ports(settings: Settings) -> list[str | None]:
    """The metrics port that each child is given, in their order."""
    return [
        command[command.index("--metrics-port") + 1] if "--metrics-port" in command else None
        for _, command in child_commands(settings, host="127.0.0.1", port=8000)
    ]


def test_workers_serve_metrics_on_ports_of_their_own(tmp_path: Path) -> None:
    assert metrics_ports(Settings(data_dir=tmp_path)) == [None] * 4
    assert metrics_ports(Settings(data_dir=tmp_path, metrics_port=9464)) == [None, "9464", "9465", None]


@pytest.mark.parametrize(
    ("status", "checks", "expected"),
    [
        (200, {"database": "ok", "workers": "ok"}, True),
        (503, {"database": "ok", "workers": "absent"}, True),
        (503, {"database": "ok", "workers": "stalled"}, True),
        (503, {"database": "storage_error", "workers": "storage_error"}, False),
        (503, {"database": "ok", "broker": "timeout", "workers": "ok"}, False),
        (500, {}, False),
    ],
)
def test_stack_is_ready_when_all_but_its_workers_answer(status: int, checks: dict[str, str], expected: bool) -> None:
    assert is_serving(httpx.Response(status, json={"checks": checks})) is expected

"""The production processes' command lines."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Literal

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.processes import job_queues
from core.settings import Settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path) -> Any:  # noqa: ANN401 - typer's Result is not exported
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_migrate_makes_the_embedded_database_and_may_run_again(tmp_path: Path) -> None:
    results = [run("migrate", "--data-dir", tmp_path / "data") for _ in range(2)]

    with sqlite3.connect(tmp_path / "data" / "limpid.sqlite3") as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert [result.exit_code for result in results] == [0, 0]
    assert {"jobs", "alembic_version"} <= tables


def test_migrate_gives_up_when_no_database_answers_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_DATABASE_URL", "postgresql://limpid:hush@127.0.0.1:1/limpid")

    result = run("migrate", "--wait-s", "0")

    assert result.exit_code == 1
    assert result.stderr == "limpid: The database did not answer.\n"


def test_worker_refuses_an_unknown_queue() -> None:
    result = run("worker", "--queues", "cpu.interactive,tpu.bulk")

    assert result.exit_code == 2
    assert "tpu.bulk" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["api", "--port", "0"], ["api", "--port", "65536"], ["worker", "--concurrency", "0"]]
)
def test_numbers_out_of_range_are_refused(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_jobs_wait_in_the_queues_of_their_device_the_urgent_lane_first(device: Literal["cpu", "gpu"]) -> None:
    assert job_queues(Settings(device=device)) == [f"{device}.interactive", f"{device}.bulk"]

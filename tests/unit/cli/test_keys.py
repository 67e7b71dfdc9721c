"""`limpid keys` on the embedded stack's database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app

runner = CliRunner()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def run(data_dir: Path, *arguments: str, status: int = 0) -> Any:  # noqa: ANN401 - typer's Result is not exported
    result = runner.invoke(app, ["keys", *arguments, "--data-dir", str(data_dir)])
    assert result.exit_code == status, result.output
    return result


def test_token_alone_is_on_standard_output(data_dir: Path) -> None:
    result = run(data_dir, "create", "radio")

    assert result.stdout.startswith("lmp_")
    assert result.stdout.count("\n") == 1
    assert "not shown again" in result.stderr


def test_created_key_is_listed_without_its_token(data_dir: Path) -> None:
    created = json.loads(run(data_dir, "create", "radio", "--scope", "admin", "--json").stdout)

    listed = run(data_dir, "list", "--json").stdout

    assert created["key"] not in listed
    assert json.loads(listed) == [{name: value for name, value in created.items() if name != "key"}]
    assert created["scopes"] == ["admin"]
    assert "radio" in run(data_dir, "list").stdout


def test_default_scopes_are_submit_and_read(data_dir: Path) -> None:
    assert json.loads(run(data_dir, "create", "radio", "--json").stdout)["scopes"] == ["read", "submit"]


def test_key_is_revoked_by_its_prefix(data_dir: Path) -> None:
    created = json.loads(run(data_dir, "create", "radio", "--json").stdout)

    result = run(data_dir, "revoke", f"{created['prefix']}…")

    assert "radio" in result.stdout
    assert json.loads(run(data_dir, "list", "--json").stdout)[0]["revoked_at"] is not None


def test_unknown_key_and_empty_name_are_refused(data_dir: Path) -> None:
    assert "There is no key" in run(data_dir, "revoke", "lmp_nothing", status=1).stderr
    assert "needs a name" in run(data_dir, "create", " ", status=1).stderr

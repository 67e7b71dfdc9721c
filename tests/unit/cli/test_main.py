"""The root command: quick help, version, errors in one line."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import main
from cli.errors import CommandError
from cli.main import COMMANDS, LazyCommand, app
from core.errors import UnknownPreset

PUBLIC_COMMANDS = (
    *("up", "api", "worker", "scheduler", "migrate", "enhance", "submit"),
    *("models", "presets", "keys", "train", "evaluate", "doctor", "demo", "bench"),
)


def run(*arguments: str) -> Any:  # noqa: ANN401 - typer's Result is not exported
    return CliRunner().invoke(app, arguments)


def modules_after(arguments: list[str]) -> set[str]:
    script = (
        "import sys\n"
        "from cli.main import app\n"
        "try:\n    app(sys.argv[1:])\n"
        "finally:\n    sys.stderr.write('\\n'.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    return set(done.stderr.splitlines())


@pytest.mark.parametrize("name", PUBLIC_COMMANDS)
def test_help_lists_every_command(name: str) -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert f"\n  {name} " in result.stdout


def test_help_imports_no_command_and_no_heavy_package() -> None:
    modules = modules_after(["--help"])

    assert "cli.main" in modules
    assert not modules & {
        "torch",
        "numpy",
        "sqlalchemy",
        "celery",
        "fastapi",
        "rich",
        *(c.module for c in COMMANDS.values()),
    }


def test_listing_presets_needs_no_torch() -> None:
    assert "torch" not in modules_after(["presets"])


def test_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"limpid {version('limpid')}\n"


def test_unknown_command_is_refused_with_status_2() -> None:
    result = run("polish")

    assert result.exit_code == 2
    assert "polish" in result.stderr


@pytest.mark.parametrize("error", [UnknownPreset("There is no preset 'x'."), CommandError("There is no preset 'x'.")])
def test_errors_of_a_command_become_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def raise_error() -> None:
        raise error

    install(monkeypatch, raise_error)

    result = run("broken")

    assert result.exit_code == 1
    assert result.stderr == "limpid: There is no preset 'x'.\n"
    assert result.stdout == ""


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_package() -> None:
        raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")

    install(monkeypatch, needs_package)

    result = run("broken")

    assert result.exit_code == 1
    assert result.stderr == "limpid: torch is not installed. Install it with: pip install 'limpid[worker]'\n"


def test_missing_module_of_our_own_is_not_disguised_as_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_module() -> None:
        raise ModuleNotFoundError("No module named 'core.gone'", name="core.gone")

    install(monkeypatch, needs_module)

    assert isinstance(run("broken").exception, ModuleNotFoundError)


def install(monkeypatch: pytest.MonkeyPatch, function: Any) -> None:  # noqa: ANN401
    monkeypatch.setattr(main, "_broken", function, raising=False)
    broken = LazyCommand(module="cli.main", attribute="_broken", help="Fails.", extra="worker")
    monkeypatch.setattr(main, "COMMANDS", {**COMMANDS, "broken": broken})

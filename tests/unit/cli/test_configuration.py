"""Configuration that cannot be used is said in one line, without secrets."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cli.configuration import load_settings
from cli.errors import CommandError
from core.settings import Settings, environment_without_servers


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_option_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_DATA_DIR", "elsewhere")

    assert load_settings(tmp_path).data_dir == tmp_path
    assert load_settings().data_dir == Path("elsewhere")


def test_variable_that_cannot_be_used_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_MAX_ATTEMPTS", "hush")

    with pytest.raises(CommandError, match=r"^The configuration cannot be used\. LIMPID_MAX_ATTEMPTS: ") as caught:
        load_settings()

    assert "hush" not in str(caught.value)


def test_secret_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_DATABASE_URL_FILE", str(tmp_path / "gone"))

    with pytest.raises(CommandError, match=r"gone: No such file or directory\.$"):
        load_settings()


def test_every_command_reads_the_settings_by_load_settings() -> None:
    folder = Path(load_settings.__code__.co_filename).parent

    direct = [
        f"{path.name}:{call.lineno}"
        for path in folder.glob("*.py")
        if path.name != "configuration.py"
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Settings"
    ]

    assert direct == []


def test_embedded_stack_hears_of_no_server_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("LIMPID_S3_ENDPOINT=http://s3.example\n", encoding="utf-8")
    monkeypatch.setenv("LIMPID_DATABASE_URL", "postgresql://nobody@db.example/limpid")
    monkeypatch.setenv("LIMPID_BROKER_URL_FILE", str(tmp_path / "broker-url"))
    monkeypatch.setenv("LIMPID_LEASE_S", "7")
    (tmp_path / "broker-url").write_text("redis://broker.example/0", encoding="utf-8")

    named = Settings()
    inner = named.without_servers()
    for name, value in environment_without_servers().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LIMPID_BROKER_URL_FILE")
    child = Settings()

    assert named.servers == ("database_url", "broker_url", "s3_endpoint")
    for settings in (inner, child):
        assert settings.servers == ()
        assert settings.resolved_database_url.startswith("sqlite:")
        assert settings.resolved_broker_url == "filesystem://"
        assert settings.lease_s == 7
    assert "LIMPID_BROKER_URL_FILE" not in environment_without_servers()

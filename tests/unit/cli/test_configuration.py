"""Configuration that cannot be used is said in one line, without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.configuration import load_settings
from cli.errors import CommandError


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

"""The diagnosis: what is missing is said, and secrets are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.doctor import Check, Verdict, diagnose
from core import model_catalogue
from core.database import migrate
from core.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(data_dir=tmp_path / "data")


def checks_of(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in diagnose(settings)}


def test_embedded_stack_that_was_migrated_is_in_order(settings: Settings) -> None:
    migrate(settings.resolved_database_url)

    checks = checks_of(settings)

    assert [checks[name].verdict for name in ("database", "schema", "broker", "store", "scratch")] == [Verdict.OK] * 5


def test_database_without_tables_asks_for_a_migration(settings: Settings) -> None:
    schema = checks_of(settings)["schema"]

    assert schema.verdict is Verdict.BAD
    assert "limpid migrate" in schema.detail


def test_services_that_do_not_answer_are_named_without_their_secrets(settings: Settings) -> None:
    unreachable = settings.model_copy(
        update={
            "database_url": SecretStr("postgresql://limpid:hush@127.0.0.1:1/limpid"),
            "broker_url": SecretStr("redis://:hush@127.0.0.1:1/0"),
        }
    )

    checks = checks_of(unreachable)

    assert [checks[name].verdict for name in ("database", "broker")] == [Verdict.BAD] * 2
    assert checks["database"].detail.startswith("postgresql://127.0.0.1:1/limpid: ")
    assert not any("hush" in check.detail for check in checks.values())


def test_model_that_only_some_presets_need_is_a_note(settings: Settings) -> None:
    check = checks_of(settings)["model dns48"]

    assert check.verdict is Verdict.NOTE
    assert "limpid models pull dns48" in check.detail


def test_default_preset_without_its_model_is_bad(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model_catalogue, "BUNDLED_DIR", tmp_path / "nothing")

    check = checks_of(settings)["model limpid-speech"]

    assert check.verdict is Verdict.BAD
    assert "pull" not in check.detail

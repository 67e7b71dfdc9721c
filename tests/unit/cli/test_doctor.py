"""The diagnosis: what is missing is said, and secrets are not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.checks import services
from cli.checks.check import Check, Verdict
from cli.checks.workers import check_workers
from cli.doctor import diagnose
from cli.main import app
from core import model_record
from core.access.keys import Scope, create_key
from core.access.keys_sql import SqlKeyRepository
from core.database import create_engine_for, migrate
from core.errors import StorageError
from core.fleet.queue_state import STALLED_AFTER_S, QueueState
from core.jobs import Device, Lane
from core.monitoring import tracing_setup
from core.settings import Settings
from tests.fakes import FakeObjectStore
from tests.monitoring_fakes import FakeFleet


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(data_dir=tmp_path / "data")


def checks_of(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in diagnose(settings)}


def test_embedded_stack_that_was_migrated_is_in_order(settings: Settings) -> None:
    migrate(settings.resolved_database_url)

    checks = checks_of(settings)

    assert [check for check in checks.values() if check.verdict is Verdict.BAD] == []
    assert [checks[name].verdict for name in ("database", "schema", "broker", "store", "scratch")] == [Verdict.OK] * 5
    assert list(settings.objects_dir.rglob("probe")) == []


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


def test_model_that_is_for_the_operator_to_train_is_not_to_be_pulled(settings: Settings) -> None:
    check = checks_of(settings)["model finally-48k"]

    assert "train it" in check.detail
    assert "pull" not in check.detail


def test_default_preset_without_its_model_is_bad(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model_record, "BUNDLED_DIR", tmp_path / "nothing")

    check = checks_of(settings)["model limpid-speech"]

    assert check.verdict is Verdict.BAD
    assert "pull" not in check.detail


LONG_AGO = datetime.now(UTC) - timedelta(seconds=STALLED_AFTER_S + 60)


@pytest.mark.parametrize(
    ("state", "verdict", "advice"),
    [
        ({"workers": 2}, Verdict.OK, "2 worker processes"),
        ({"workers": 2, "waiting": 9, "waiting_since": LONG_AGO}, Verdict.OK, "9 wait"),
        ({}, Verdict.NOTE, "limpid worker"),
        ({"waiting": 9, "waiting_since": LONG_AGO}, Verdict.BAD, "limpid worker --queues cpu.bulk"),
        ({"workers": 2, "waiting": 9, "waiting_since": LONG_AGO, "idle_since": LONG_AGO}, Verdict.BAD, "restart them"),
    ],
    ids=["at rest", "busy", "not started", "no worker", "stalled"],
)
def test_a_queue_is_bad_when_jobs_wait_and_nobody_takes_them(
    settings: Settings, state: dict[str, Any], verdict: Verdict, advice: str
) -> None:
    fleet = FakeFleet()
    fleet.queues = [QueueState(device=Device.CPU, lane=Lane.BULK, **state)]

    [check] = check_workers(settings, fleet)

    assert check.verdict is verdict
    assert advice in check.detail


def test_queues_of_another_device_matter_only_when_jobs_wait_there(settings: Settings) -> None:
    fleet = FakeFleet()
    fleet.queues = [
        QueueState(device=Device.GPU, lane=Lane.BULK),
        QueueState(device=Device.GPU, lane=Lane.INTERACTIVE, waiting=1, waiting_since=LONG_AGO),
    ]

    assert [check.name for check in check_workers(settings, fleet)] == ["queue gpu.interactive"]


def test_auth_without_a_key_lets_nobody_in(settings: Settings) -> None:
    with_auth = settings.model_copy(update={"auth": "on"})
    migrate(with_auth.resolved_database_url)

    assert checks_of(with_auth)["auth"].verdict is Verdict.BAD
    engine = create_engine_for(with_auth)
    create_key("test", [Scope.READ], keys=SqlKeyRepository(engine), now=LONG_AGO)
    engine.dispose()

    assert checks_of(with_auth)["auth"].verdict is Verdict.OK


def test_open_server_is_pointed_out(settings: Settings) -> None:
    check = checks_of(settings.model_copy(update={"allow_insecure": True}))["auth"]

    assert check.verdict is Verdict.NOTE
    assert "everyone" in check.detail


def test_store_that_answers_and_cannot_be_written_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: FakeObjectStore, key: str, *, media_type: str) -> None:
        raise StorageError("The object store refused the write.")

    monkeypatch.setattr(FakeObjectStore, "open_writer", refuse)

    with pytest.raises(StorageError, match="refused"):
        services.write_and_read(FakeObjectStore())


def test_tracing_without_its_packages_is_bad(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_setup, "_PACKAGES", ("opentelemetry.nowhere.trace",))

    assert "tracing" not in checks_of(settings)
    assert checks_of(settings.model_copy(update={"tracing": "on"}))["tracing"].verdict is Verdict.BAD


def test_json_has_every_check_and_the_exit_status_tells_whether_something_is_missing(settings: Settings) -> None:
    arguments = ["doctor", "--json", "--data-dir", str(settings.data_dir)]
    before = CliRunner().invoke(app, arguments)
    migrate(settings.resolved_database_url)
    after = CliRunner().invoke(app, arguments)

    assert (before.exit_code, after.exit_code) == (1, 0)
    for result in (before, after):
        checks = json.loads(result.stdout)
        assert {"database", "schema", "broker", "store", "auth", "scratch"} <= {check["name"] for check in checks}
        assert {check["verdict"] for check in checks} <= {"ok", "note", "bad"}
    assert [check["name"] for check in json.loads(before.stdout) if check["verdict"] == "bad"] == ["schema"]

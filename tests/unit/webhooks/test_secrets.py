"""Where the server's secrets come from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from pydantic import ValidationError

from core.settings import Settings
from core.webhooks.secrets import can_sign, signing_secrets
from core.webhooks.signing import key_of, new_secret


def test_configured_secret_comes_before_those_of_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    current, older, oldest = (new_secret() for _ in range(3))
    monkeypatch.setenv("LIMPID_WEBHOOK_SECRET", current)
    monkeypatch.setenv("LIMPID_WEBHOOK_PREVIOUS_SECRETS", f"{older}, {oldest}")

    assert signing_secrets(Settings()) == (current, older, oldest)


def test_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = new_secret()
    (tmp_path / "secret").write_text(secret + "\n")
    monkeypatch.setenv("LIMPID_WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))

    assert signing_secrets(Settings()) == (secret,)


@pytest.mark.parametrize("name", ["LIMPID_WEBHOOK_SECRET", "LIMPID_WEBHOOK_PREVIOUS_SECRETS"])
def test_bad_secret_stops_the_start_and_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "hunter2")

    with pytest.raises(ValidationError, match="webhook secret") as refusal:
        Settings()

    assert "hunter2" not in str(refusal.value)


def test_embedded_stack_makes_its_secret_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new")

    (secret,) = signing_secrets(settings)

    assert can_sign(settings)
    assert len(key_of(secret)) == 32
    assert signing_secrets(Settings(data_dir=tmp_path / "new")) == (secret,)
    (file,) = (tmp_path / "new").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_processes_that_start_together_share_one_secret(tmp_path: Path) -> None:
    barrier = Barrier(8)

    def read(_: int) -> tuple[str, ...]:
        barrier.wait()
        return signing_secrets(Settings(data_dir=tmp_path))

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(read, range(8)))

    assert len(found) == 1


def test_production_stack_without_a_secret_cannot_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_DATABASE_URL", "postgresql://db/limpid")

    assert not can_sign(Settings())
    assert signing_secrets(Settings()) == ()


def test_allowed_networks_are_read_from_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_WEBHOOK_ALLOW", "127.0.0.0/8, fd00::/8")

    assert [str(network) for network in Settings().webhook_allow] == ["127.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize("value", ["localhost", "10.0.0.1/8"])
def test_allowed_network_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LIMPID_WEBHOOK_ALLOW", value)

    with pytest.raises(ValidationError, match="webhook_allow"):
        Settings()

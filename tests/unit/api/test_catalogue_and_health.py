"""Presets, models, liveness and readiness."""

from __future__ import annotations

import threading
from importlib.metadata import version

import pytest
from fastapi.testclient import TestClient

from api.routes import health
from core.model_catalogue import MODELS
from core.options import resolve_options
from core.presets import DEFAULT_PRESET, PRESETS
from core.settings import Settings
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore


def test_every_preset_is_listed_with_what_it_resolves_to(client: TestClient) -> None:
    told = {preset["name"]: preset for preset in client.get("/api/v1/presets").json()["presets"]}

    assert list(told) == list(PRESETS)
    for name, preset in told.items():
        options = resolve_options(name).model_dump(mode="json")
        assert {key: preset[key] for key in ("model", "shifts", "overlap", "chain", "outputs")} == {
            key: options[key] for key in ("model", "shifts", "overlap", "chain", "outputs")
        }
    assert [name for name, preset in told.items() if preset["is_default"]] == [DEFAULT_PRESET]


def test_presets_tell_what_they_cost(client: TestClient) -> None:
    told = {preset["name"]: preset["relative_cost"] for preset in client.get("/api/v1/presets").json()["presets"]}

    assert told["fast"] == pytest.approx(1.11, abs=0.01)
    assert told["high"] == pytest.approx(10.67, abs=0.01)
    assert (told["maximum"], told["speech"], told["clean-only"]) == (64, 1, 0)


def test_preset_without_a_model_can_always_run(client: TestClient) -> None:
    told = {preset["name"]: preset["is_installed"] for preset in client.get("/api/v1/presets").json()["presets"]}

    assert told["clean-only"] is True
    assert told["speech-dns48"] is False


def test_models_tell_licence_and_installation(client: TestClient, settings: Settings) -> None:
    weights = MODELS["dns48"].files[0].name
    settings.resolved_models_dir.mkdir(parents=True)
    (settings.resolved_models_dir / weights).write_bytes(b"weights")

    told = {model["name"]: model for model in client.get("/api/v1/models").json()["models"]}

    assert list(told) == list(MODELS)
    assert told["dns48"]["is_installed"] is True
    assert told["dns48"]["is_non_commercial"] is True
    assert told["dns64"]["is_installed"] is False
    assert told["htdemucs"]["stems"] == ["drums", "bass", "other", "vocals"]


def test_liveness_asks_nobody(client: TestClient, store: FakeObjectStore, jobs: FakeJobRepository) -> None:
    store.is_down = jobs.is_down = True

    response = client.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok", "version": version("limpid")}


def test_simple_health_tells_installed_models(client: TestClient) -> None:
    told = client.get("/api/health").json()

    assert told["status"] == "ok"
    assert told["default_preset"] == DEFAULT_PRESET
    assert "dns48" not in told["models"]


class TestReadiness:
    def test_ready_when_all_parts_answer(self, client: TestClient) -> None:
        response = client.get("/readyz")

        assert response.status_code == 200
        assert response.json() == {"status": "ready", "checks": {"database": "ok", "store": "ok", "broker": "ok"}}

    @pytest.mark.parametrize(
        ("part", "code"), [("database", "storage_error"), ("store", "storage_error"), ("broker", "queue_error")]
    )
    def test_the_part_that_does_not_answer_is_named(
        self,
        client: TestClient,
        jobs: FakeJobRepository,
        store: FakeObjectStore,
        queue: FakeJobQueue,
        part: str,
        code: str,
    ) -> None:
        {"database": jobs, "store": store, "broker": queue}[part].is_down = True  # type: ignore[attr-defined]

        response = client.get("/readyz")

        assert response.status_code == 503
        assert response.json()["checks"] == {"database": "ok", "store": "ok", "broker": "ok", part: code}

    def test_part_that_hangs_is_named_in_time(
        self, client: TestClient, store: FakeObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        released = threading.Event()
        monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.05)
        monkeypatch.setattr(store, "check", lambda: released.wait(30))

        response = client.get("/readyz")
        released.set()

        assert response.status_code == 503
        assert response.json()["checks"]["store"] == "timeout"

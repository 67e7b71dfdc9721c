"""Presets, models, liveness and readiness."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest
from fastapi.testclient import TestClient

from api.routes import health
from core.estimation.benchmark import BenchmarkRun, keep_runs
from core.fleet.queue_state import STALLED_AFTER_S, QueueState
from core.jobs import Device, Lane
from core.model_catalogue import MODELS
from core.options import resolve_options
from core.presets import DEFAULT_PRESET, PRESETS
from core.settings import Settings
from tests.contracts.history import run_job
from tests.fakes import FakeJobQueue, FakeJobRepository, FakeObjectStore
from tests.monitoring_fakes import FakeFleet
from tests.unit.api.recordings import wav

JOBS = "/api/v1/jobs"


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


def test_presets_tell_how_fast_they_are_here_and_what_that_rests_on(
    client: TestClient, settings: Settings, jobs: FakeJobRepository
) -> None:
    run_job(jobs, rtf=0.5, options=resolve_options("speech").model_dump(mode="json"))
    run = BenchmarkRun(
        preset="clean-only",
        model=None,
        relative_cost=0.0,
        rtf=0.25,
        duration_s=60.0,
        threads=1,
        measured_at=datetime.now(UTC),
    )
    keep_runs([run], settings.data_dir)

    told = {preset["name"]: preset for preset in client.get("/api/v1/presets").json()["presets"]}

    assert (told["speech"]["rtf"], told["speech"]["rtf_source"]) == (0.5, "measured")
    assert (told["clean-only"]["rtf"], told["clean-only"]["rtf_source"]) == (0.25, "benchmark")
    assert told["maximum"]["rtf_source"] == "default"
    assert told["maximum"]["rtf"] > 50 * told["fast"]["rtf"]


def test_presets_are_listed_while_the_database_is_away(client: TestClient, jobs: FakeJobRepository) -> None:
    jobs.is_down = True

    response = client.get("/api/v1/presets")

    assert response.status_code == 200
    assert {preset["rtf_source"] for preset in response.json()["presets"]} == {"default"}


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


def test_models_are_those_of_the_workers_where_there_are_any(
    client: TestClient, settings: Settings, fleet: FakeFleet
) -> None:
    settings.resolved_models_dir.mkdir(parents=True)
    (settings.resolved_models_dir / MODELS["dns64"].files[0].name).write_bytes(b"weights")  # here, and not there
    fleet.worker_models = frozenset({"limpid-speech", "dns48"})

    models = {model["name"]: model["is_installed"] for model in client.get("/api/v1/models").json()["models"]}
    presets = {preset["name"]: preset["is_installed"] for preset in client.get("/api/v1/presets").json()["presets"]}

    assert [name for name, is_installed in models.items() if is_installed] == ["limpid-speech", "dns48"]
    assert (presets["speech-dns48"], presets["speech-cnn"], presets["clean-only"]) == (True, False, True)
    assert client.get("/api/health").json()["models"] == ["limpid-speech", "dns48"]


def test_job_is_taken_for_a_model_that_the_workers_have_and_refused_for_one_they_lack(
    client: TestClient, fleet: FakeFleet
) -> None:
    fleet.worker_models = frozenset({"dns48"})

    def submit(preset: str) -> int:
        return client.post(JOBS, files={"file": ("talk.wav", wav())}, data={"preset": preset}).status_code

    assert (submit("speech-dns48"), submit("speech")) == (202, 409)


def test_preset_whose_weights_nobody_publishes_is_refused_with_how_to_train_them(client: TestClient) -> None:
    response = client.post(JOBS, files={"file": ("talk.wav", wav())}, data={"preset": "studio-48k"})
    told = {model["name"]: model for model in client.get("/api/v1/models").json()["models"]}["finally-48k"]

    assert response.status_code == 409
    assert response.json()["code"] == "model_unavailable"
    assert "limpid train finally-stage1, then limpid train finally-stage2" in response.json()["detail"]
    assert (told["is_installed"], told["origin"], told["guarded_by"]) == (False, "trained", "limpid-speech")
    assert "finally-48k.safetensors" in told["how_to_get"]


def test_own_models_count_while_the_database_is_away(client: TestClient, fleet: FakeFleet) -> None:
    fleet.worker_models = frozenset({"dns48"})
    fleet.is_down = True

    told = {model["name"]: model["is_installed"] for model in client.get("/api/v1/models").json()["models"]}

    assert (told["dns48"], told["limpid-speech"]) == (False, True)


def test_models_tell_what_they_were_trained_on_what_they_reach_and_how_to_get_them(client: TestClient) -> None:
    told = {model["name"]: model for model in client.get("/api/v1/models").json()["models"]}

    film, official = told["limpid-film"], told["two-stage-unet"]
    assert film["is_installed"] is True
    assert film["how_to_get"] == "It comes with Limpid."
    assert film["figures"]["validation_si_sdr_gain_db"] > 0
    assert 0 < film["cpu_rtf"] < official["cpu_rtf"]
    assert official["is_installed"] is False
    assert official["how_to_get"] == "limpid models pull two-stage-unet"
    assert official["figures"] == {}
    assert "Gramophone" in official["training_data"]


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
        assert response.json() == {
            "status": "ready",
            "checks": {"database": "ok", "store": "ok", "broker": "ok", "workers": "ok"},
        }

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
        assert response.json()["checks"] == {
            "database": "ok",
            "store": "ok",
            "broker": "ok",
            "workers": "ok",
            part: code,
        }

    @pytest.mark.parametrize(
        ("workers", "code"), [(0, "absent"), (1, "stalled")], ids=["no worker", "a worker that is idle"]
    )
    def test_jobs_that_nobody_takes_make_it_unavailable(
        self, client: TestClient, fleet: FakeFleet, workers: int, code: str
    ) -> None:
        since = datetime.now(UTC) - timedelta(seconds=STALLED_AFTER_S + 1)
        fleet.queues = [
            QueueState(
                device=Device.CPU,
                lane=Lane.BULK,
                waiting=1,
                waiting_since=since,
                workers=workers,
                idle_since=since if workers else None,
            )
        ]

        response = client.get("/readyz")

        assert response.status_code == 503
        assert response.json()["checks"]["workers"] == code

    def test_a_long_queue_beside_workers_at_work_is_no_fault(self, client: TestClient, fleet: FakeFleet) -> None:
        since = datetime.now(UTC) - timedelta(days=1)
        fleet.queues = [
            QueueState(device=Device.CPU, lane=Lane.BULK, waiting=10_000, waiting_since=since, running=4, workers=4)
        ]

        assert client.get("/readyz").status_code == 200

    def test_what_is_wrong_is_said_without_addresses(
        self, client: TestClient, fleet: FakeFleet, jobs: FakeJobRepository, settings: Settings
    ) -> None:
        fleet.is_down = jobs.is_down = True

        told = client.get("/readyz").text

        assert json.loads(told)["checks"]["workers"] == "storage_error"
        assert "://" not in told
        assert str(settings.data_dir) not in told

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

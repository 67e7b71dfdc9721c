"""POST /estimate."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.estimation.benchmark import BenchmarkRun, keep_runs
from core.estimation.estimate import default_rtf
from core.options import resolve_options
from core.settings import Settings
from tests.contracts.history import run_job
from tests.fakes import FakeJobRepository
from tests.fixed_ids import UNKNOWN_ID
from tests.unit.api.recordings import wav


def ask(client: TestClient, **wanted: Any) -> Any:  # noqa: ANN401 - JSON in, a response out
    return client.post("/api/v1/estimate", json=wanted)


def upload(client: TestClient, data: bytes, *, complete: bool = True) -> str:
    told = client.post("/api/v1/uploads", json={"name": "talk.wav", "bytes": len(data)}).json()
    for part in told["parts"]:
        assert client.put(part["url"], content=data[part["offset_bytes"] :][: part["bytes"]]).status_code == 204
    if complete:
        assert client.post(told["links"]["complete"]).status_code == 200
    return str(told["id"])


def test_without_any_job_or_benchmark_defaults_are_told_as_such(client: TestClient) -> None:
    told = ask(client, duration_s=10, preset="maximum").json()

    rtf = default_rtf(resolve_options("maximum"))
    assert told == {
        "audio_s": 10,
        "rtf": pytest.approx(rtf),
        "processing_s": pytest.approx(10 * rtf),
        "relative_cost": pytest.approx(64),
        "source": "default",
    }


def test_benchmark_of_this_machine_comes_before_defaults(client: TestClient, settings: Settings) -> None:
    run = BenchmarkRun(
        preset="speech",
        model=resolve_options("speech").model,
        relative_cost=1.0,
        rtf=0.25,
        duration_s=60,
        threads=1,
        measured_at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    keep_runs([run], settings.data_dir)

    told = ask(client, duration_s=20).json()

    assert (told["rtf"], told["processing_s"], told["source"]) == (0.25, 5.0, "benchmark")


def test_jobs_that_have_run_come_first(client: TestClient, jobs: FakeJobRepository) -> None:
    run_job(jobs, rtf=0.5, options=resolve_options("speech").model_dump(mode="json"))

    told = ask(client, duration_s=20, preset="speech").json()

    assert (told["rtf"], told["source"]) == (0.5, "measured")


def test_overrides_change_the_cost(client: TestClient) -> None:
    told = ask(client, duration_s=10, preset="fast", overrides={"shifts": 3, "overlap": 0.5}).json()

    assert told["relative_cost"] == pytest.approx(6)


def test_length_of_an_upload_is_read_and_the_upload_kept(client: TestClient) -> None:
    data = wav(1.5)
    upload_id = upload(client, data)

    told = ask(client, upload_id=upload_id).json()

    assert told["audio_s"] == pytest.approx(1.5)
    kept = client.get(f"/api/v1/uploads/{upload_id}").json()
    assert (kept["status"], kept["sha256"]) == ("complete", hashlib.sha256(data).hexdigest())


def test_upload_that_is_not_complete_or_unknown_is_refused(client: TestClient) -> None:
    assert ask(client, upload_id=upload(client, wav(0.5), complete=False)).status_code == 409
    assert ask(client, upload_id=UNKNOWN_ID).status_code == 404


def test_upload_that_is_no_audio_is_refused(client: TestClient) -> None:
    assert ask(client, upload_id=upload(client, b"no audio" * 100)).status_code == 415


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"duration_s": 1, "upload_id": UNKNOWN_ID}, 422, "invalid_request"),
        ({"duration_s": 0}, 422, "invalid_request"),
        ({"duration_s": 61}, 413, "input_too_large"),
        ({"duration_s": 1, "preset": "best"}, 422, "unknown_preset"),
        ({"duration_s": 1, "overrides": {"shifts": 11}}, 422, "invalid_options"),
        ({"duration_s": 1, "speed": 2}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_estimated_is_refused(
    client: TestClient, wanted: dict[str, Any], status: int, code: str
) -> None:
    response = ask(client, **wanted)

    assert (response.status_code, response.json()["code"]) == (status, code)

"""Whatever a request holds that the OpenAPI document describes, and what it does not, the answer is never a 5xx.

schemathesis makes the requests from the document that the API serves. The API runs on Postgres, which refuses texts
that SQLite takes.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import hypothesis
import numpy as np
import pytest
import schemathesis
import soundfile
from fastapi import FastAPI
from hypothesis import strategies
from schemathesis.openapi import from_asgi
from schemathesis.schemas import APIOperation

from api.main import create_app
from core.backend import open_backend, prepare_backend
from core.ids import new_id
from core.services import InputUpload, JobRequest, submit_job
from core.settings import Settings

EXAMPLES = 12
ENDLESS = "/api/v1/jobs/{job_id}/events"  # a stream for as long as the job waits
WAITING = "/api/enhance"  # answers when a worker has done the job, and here is none

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def settings(module_postgres_database: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": tmp_path_factory.mktemp("data"),
            "database_url": module_postgres_database,
            "max_upload_bytes": 1_000_000,
        }
    )


@pytest.fixture(scope="module")
def job_id(settings: Settings) -> Iterator[str]:
    """A job that waits, so that some requests get past 404."""
    prepare_backend(settings)
    backend = open_backend(settings)
    recording = io.BytesIO()
    soundfile.write(recording, np.zeros(1_600), 16_000, format="WAV")
    made = new_id()
    with InputUpload(backend.store, job_id=made, name="a.wav", media_type="audio/wav", max_bytes=10**6) as upload:
        upload.write(recording.getvalue())
        stored = upload.finish()
    submit_job(
        stored,
        JobRequest(preset="clean-only"),
        job_id=made,
        desk=backend.job_desk(settings),
        now=datetime.now(UTC),
    )
    yield made
    backend.close()


@pytest.fixture(scope="module")
def app(settings: Settings, job_id: str) -> FastAPI:
    """The application; `job_id` first, since it prepares the database."""
    return create_app(settings)


def operations_of(app: FastAPI) -> list[APIOperation[Any, Any, Any, Any]]:
    """Every operation of the document."""
    found = [result.ok() for result in from_asgi("/openapi.json", app).get_all_operations()]
    return [operation for operation in found if operation.path not in (ENDLESS, WAITING)]


def test_no_request_that_the_document_allows_makes_the_server_fail(
    app: FastAPI, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the report below says what is needed
    operations = operations_of(app)
    failures: list[str] = []
    statuses: set[int] = set()

    for operation in operations:
        _fuzz(operation, job_id, failures, statuses)

    assert len(operations) > 20
    assert {200, 202, 404, 422} <= statuses
    assert failures == []


def _fuzz(operation: APIOperation[Any, Any, Any, Any], job_id: str, failures: list[str], statuses: set[int]) -> None:
    @hypothesis.given(case=operation.as_strategy(), is_known=strategies.booleans())
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def ask(case: schemathesis.Case, is_known: bool) -> None:
        if is_known and operation.method != "delete" and "job_id" in (case.path_parameters or {}):
            case.path_parameters["job_id"] = job_id
        if case.query:
            case.query.pop("wait", None)
        response = case.call()
        statuses.add(response.status_code)
        if response.status_code >= 500:
            failures.append(f"{response.status_code} {response.text[:200]} for {case.as_curl_command()[:500]}")

    ask()

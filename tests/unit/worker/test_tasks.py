"""What Celery sees of the tasks."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from core.errors import StorageError
from core.queue import DELIVER_TASK, RUN_JOB_TASK, SWEEP_TASK
from core.settings import Settings
from worker.app import make_worker_app
from worker.shutdown import ShutdownFlag
from worker.tasks import ProcessContext, outliving_outages


def test_a_task_that_meets_an_outage_ends_with_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def sweep_jobs() -> None:
        raise StorageError("The database did not answer.")

    outliving_outages(sweep_jobs)()

    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert vars(record)["reason"] == "The database did not answer."
    assert record.exc_info is None


def test_any_other_error_of_a_task_is_celerys_to_report() -> None:
    def broken() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        outliving_outages(broken)()


def test_a_task_gets_its_arguments() -> None:
    seen: list[str] = []

    outliving_outages(seen.append)("0199")

    assert seen == ["0199"]


def test_a_process_without_the_pipeline_stops_its_worker_and_claims_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr("worker.tasks.os.kill", lambda pid, number: signals.append((pid, number)))
    monkeypatch.setitem(sys.modules, "core.enhancement.pipeline", None)
    unusable = ShutdownFlag()
    context = ProcessContext(Settings(data_dir=tmp_path), ShutdownFlag(), unusable=unusable)

    assert context.find_runner() is None

    assert unusable.is_set()
    assert signals == [(os.getpid(), signal.SIGTERM)]
    assert "worker_cannot_run_jobs" in caplog.messages
    context.backend.close()


def test_the_worker_has_every_task_that_is_sent_by_name() -> None:
    settings = Settings()
    app = make_worker_app(settings, ProcessContext(settings, ShutdownFlag()))

    assert {RUN_JOB_TASK, SWEEP_TASK, DELIVER_TASK} <= set(app.tasks)

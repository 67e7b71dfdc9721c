"""What a worker counts, and how its processes count together."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from billiard.context import ForkContext
from prometheus_client import CollectorRegistry, values

from core.jobs import Stage
from core.webhooks.outbox import DeliveryStatus, Outcome
from tests.factories import make_job
from tests.scraping import scrape
from tests.servers import free_port
from worker.exporter import exported_metrics
from worker.metrics import WorkerMetrics
from worker.observer import RunEnd, RunOutcome

REPORT = {
    "duration_s": 60.0,
    "rtf": 0.04,
    "stage_s": {Stage.PREPARE: 0.3, Stage.ENHANCE: 1.9, Stage.FINISH: 0.2},
    "peak_memory_bytes": 400_000_000,
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> WorkerMetrics:
    return WorkerMetrics(registry)


def test_a_success_counts_its_audio_speed_stages_and_memory(
    registry: CollectorRegistry, metrics: WorkerMetrics
) -> None:
    for _ in range(2):
        metrics.run_ended(RunEnd(job=make_job(preset="speech"), outcome=RunOutcome.SUCCEEDED, report=REPORT))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    of_preset = {"preset": "speech", "device": "cpu"}
    assert value("limpid_job_runs_total", outcome="succeeded", preset="speech") == 2
    assert value("limpid_job_audio_seconds_total", **of_preset) == 120
    assert value("limpid_job_rtf_ratio_sum", **of_preset) == pytest.approx(0.08)
    assert value("limpid_job_rtf_ratio_bucket", le="0.03", **of_preset) == 0
    assert value("limpid_job_rtf_ratio_bucket", le="0.05", **of_preset) == 2
    assert value("limpid_job_stage_duration_seconds_sum", stage="enhance", preset="speech") == pytest.approx(3.8)
    assert value("limpid_worker_peak_memory_bytes") == 400_000_000


@pytest.mark.parametrize("outcome", [outcome for outcome in RunOutcome if outcome is not RunOutcome.SUCCEEDED])
def test_any_other_end_counts_no_audio(
    registry: CollectorRegistry, metrics: WorkerMetrics, outcome: RunOutcome
) -> None:
    metrics.run_ended(RunEnd(job=make_job(), outcome=outcome, code="invalid_audio"))

    labels = {"outcome": outcome.value, "preset": "clean-only"}
    assert registry.get_sample_value("limpid_job_runs_total", labels) == 1
    failures = registry.get_sample_value("limpid_job_failures_total", {"code": "invalid_audio"})
    assert failures == (1 if outcome is RunOutcome.FAILED else None)
    assert (
        registry.get_sample_value("limpid_job_audio_seconds_total", {"preset": "clean-only", "device": "cpu"}) is None
    )


def test_only_the_first_run_of_a_job_counts_its_wait(registry: CollectorRegistry, metrics: WorkerMetrics) -> None:
    for attempt in (1, 2):
        metrics.run_started(make_job(attempt=attempt), waited_s=7.0)

    assert registry.get_sample_value("limpid_job_wait_seconds_count", {"device": "cpu", "lane": "interactive"}) == 1
    assert registry.get_sample_value("limpid_job_wait_seconds_sum", {"device": "cpu", "lane": "interactive"}) == 7


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (DeliveryStatus.DELIVERED, "delivered"),
        (DeliveryStatus.PENDING, "retried"),
        (DeliveryStatus.FAILED, "failed"),
        (DeliveryStatus.DISABLED, "disabled"),
    ],
)
def test_a_webhook_attempt_counts_by_what_it_came_to(
    registry: CollectorRegistry, metrics: WorkerMetrics, status: DeliveryStatus, word: str
) -> None:
    metrics.webhook_attempted(Outcome(status=status), 0.2)

    assert registry.get_sample_value("limpid_webhook_attempt_duration_seconds_count", {"outcome": word}) == 1


def test_processes_of_a_worker_count_together_and_their_successors_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    port = free_port()

    with exported_metrics(tmp_path, host="127.0.0.1", port=port) as metrics:
        for place, peak_bytes in ((0, 300), (1, 200), (0, 100)):
            process = ForkContext().Process(target=_succeed, args=(metrics, peak_bytes))
            process.index = place
            process.start()
            process.join()
            assert process.exitcode == 0
        samples = scrape(port)
        files = [path.name for path in tmp_path.glob("metrics-*/*.db")]

    assert samples["limpid_job_runs_total"] == 3
    assert samples["limpid_worker_peak_memory_bytes"] == 200
    assert len([name for name in files if name.startswith("counter_")]) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_worker_whose_port_is_taken_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"port {port}.*LIMPID_METRICS_PORT"):
            exported_metrics(tmp_path, host="127.0.0.1", port=port).__enter__()

    assert list(tmp_path.iterdir()) == []


def _succeed(metrics: WorkerMetrics, peak_bytes: int) -> None:
    report = {**REPORT, "peak_memory_bytes": peak_bytes}
    metrics.run_ended(RunEnd(job=make_job(), outcome=RunOutcome.SUCCEEDED, report=report))

"""The worker's metrics for Prometheus. docs/operations/metrics.md tells operators what they mean."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from core.jobs import Job, Stage
from core.webhooks.outbox import DeliveryStatus, Outcome
from worker.observer import RunEnd, RunOutcome

RTF_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, 10.0)
STAGE_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 14400.0)
WAIT_BUCKETS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)
LOAD_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
WEBHOOK_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)

_WEBHOOK_OUTCOMES = {  # in words of one attempt
    DeliveryStatus.DELIVERED: "delivered",
    DeliveryStatus.PENDING: "retried",
    DeliveryStatus.FAILED: "failed",
    DeliveryStatus.DISABLED: "disabled",
}


class WorkerMetrics:
    """A WorkerObserver that counts. Labels are presets, models, queues and codes: never a job, key or URL."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter(
            "limpid_job_runs_total",
            "Runs of jobs that have ended. A job that was put off or interrupted has several.",
            ["outcome", "preset"],
            registry=registry,
        )
        self._failures = Counter(
            "limpid_job_failures_total", "Jobs that ended as failed, by error code.", ["code"], registry=registry
        )
        self._wait = Histogram(
            "limpid_job_wait_seconds",
            "Time from submission to the first run.",
            ["device", "lane"],
            buckets=WAIT_BUCKETS_S,
            registry=registry,
        )
        self._rtf = Histogram(
            "limpid_job_rtf_ratio",
            "Real-time factor of jobs that succeeded: processing seconds per second of audio.",
            ["preset", "device"],
            buckets=RTF_BUCKETS,
            registry=registry,
        )
        self._audio = Counter(
            "limpid_job_audio_seconds_total",
            "Audio in the jobs that succeeded.",
            ["preset", "device"],
            registry=registry,
        )
        self._stage = Histogram(
            "limpid_job_stage_duration_seconds",
            "Duration of each stage of the jobs that succeeded.",
            ["stage", "preset"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self._peak_memory = Gauge(
            "limpid_worker_peak_memory_bytes",
            "Largest resident set that one of the worker's processes has had.",
            multiprocess_mode="max",
            registry=registry,
        )
        self._load = Histogram(
            "limpid_model_load_duration_seconds",
            "Loads of models into a worker process, which keeps the last few.",
            ["model", "device"],
            buckets=LOAD_BUCKETS_S,
            registry=registry,
        )
        self._webhook = Histogram(
            "limpid_webhook_attempt_duration_seconds",
            "Attempts to deliver a webhook.",
            ["outcome"],
            buckets=WEBHOOK_BUCKETS_S,
            registry=registry,
        )
        self._sweeps = Counter("limpid_sweeps_total", "Sweeps that came to their end.", registry=registry)
        self._resent = Counter(
            "limpid_sweep_messages_sent_total",
            "Messages that the sweep sent for jobs that still waited.",
            registry=registry,
        )
        self._lost = Counter(
            "limpid_sweep_jobs_ended_total", "Jobs that the sweep ended, their worker being lost.", registry=registry
        )

    def run_started(self, job: Job, *, waited_s: float) -> None:
        """Count the wait of a job that runs for the first time."""
        if job.attempt == 1:
            self._wait.labels(job.device.value, job.lane.value).observe(waited_s)

    def run_ended(self, end: RunEnd) -> None:
        """Count the end, and what the report says of a success."""
        job, report = end.job, end.report or {}
        self._runs.labels(end.outcome.value, job.preset).inc()
        if end.outcome is RunOutcome.FAILED:
            self._failures.labels(end.code or "").inc()
        if end.outcome is not RunOutcome.SUCCEEDED:
            return
        self._audio.labels(job.preset, job.device.value).inc(report.get("duration_s") or 0.0)
        if report.get("rtf") is not None:
            self._rtf.labels(job.preset, job.device.value).observe(report["rtf"])
        for stage in Stage:
            if stage in report.get("stage_s", {}):
                self._stage.labels(stage.value, job.preset).observe(report["stage_s"][stage])
        if "peak_memory_bytes" in report:
            self._peak_memory.set(report["peak_memory_bytes"])

    def model_loaded(self, name: str, *, device: str, duration_s: float) -> None:
        """Count a load."""
        self._load.labels(name, device).observe(duration_s)

    def webhook_attempted(self, outcome: Outcome, duration_s: float) -> None:
        """Count an attempt: `delivered`, `retried` (it will be), `failed` (given up) or `disabled` (410 Gone)."""
        self._webhook.labels(_WEBHOOK_OUTCOMES[outcome.status]).observe(duration_s)

    def swept(self, *, sent: int, lost: int) -> None:
        """Count a sweep."""
        self._sweeps.inc()
        self._resent.inc(sent)
        self._lost.inc(lost)

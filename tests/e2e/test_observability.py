"""A running stack, looked at from outside.

A real Prometheus scrapes it: it takes our rules, and every panel of the dashboard shows data. A collector of OTLP gets
its spans: one job is one trace.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.documentation.pages import ROOT, blocks
from tests.e2e.stack import JOB_TIMEOUT_S, RunningStack, running_stack, wait_until
from tests.servers import Server, free_port, running
from tests.web_server import Received, Reply, WebServer, web_server

PROMETHEUS = shutil.which("prometheus")
OBSERVE = ROOT / "deploy/observe"
DASHBOARD = json.loads((OBSERVE / "grafana/dashboards/limpid.json").read_text(encoding="utf-8"))
RECORDING = ROOT / "cli/recordings/noisy.flac"
SCRAPE_INTERVAL_S = 1
RATE_INTERVAL = "1m"  # what Grafana puts for $__rate_interval: here, more than a busy machine takes for four scrapes
AFTER_JOBS = (
    "limpid_job_rtf_ratio_count",
    "limpid_job_failures_total",
    "limpid_webhook_attempt_duration_seconds_count",
)
DATA_TIMEOUT_S = 120.0

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - JSON
        """The data of one of its endpoints."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=params, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[Any]:
        """The series of an expression now."""
        found: list[Any] = self.get("query", query=expression)["result"]
        return found


@pytest.fixture(scope="module")
def tests_ended() -> Event:
    return Event()


@pytest.fixture(scope="module")
def site(tests_ended: Event) -> Iterator[WebServer]:
    """Takes events and spans; has no recordings, and keeps whoever asks for /held.wav until the tests have ended."""

    def answer(request: Received) -> Reply:
        if request.path == "/held.wav":
            tests_ended.wait(DATA_TIMEOUT_S * 3)
        return Reply(status=204 if request.method == "POST" else 404)

    with web_server(answer) as server:
        yield server
        tests_ended.set()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, site: WebServer) -> Iterator[tuple[RunningStack, int]]:
    """A stack that traces, and whose workers have metrics, from the port on that is returned with it."""
    port = free_port()
    environment = {
        "LIMPID_METRICS_PORT": str(port),
        "LIMPID_TRACING": "on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": site.url("").rstrip("/"),
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "LIMPID_WEBHOOK_ALLOW": "127.0.0.0/8",
    }
    with running_stack(tmp_path_factory.mktemp("stack") / "data", environment=environment) as running_now:
        yield running_now, port


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, stack: tuple[RunningStack, int], site: WebServer, tests_ended: Event
) -> Iterator[Prometheus]:
    """Our own configuration, but for addresses and the interval. Jobs have succeeded and failed, and one is running."""
    if PROMETHEUS is None:
        pytest.skip("prometheus is not on PATH (Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    limpid, metrics_port = stack
    targets = {
        "limpid-api": [limpid.url.removeprefix("http://")],
        "limpid-worker": [f"127.0.0.1:{metrics_port}", f"127.0.0.1:{metrics_port + 1}"],
    }
    config = yaml.safe_load((OBSERVE / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": f"{SCRAPE_INTERVAL_S}s", "evaluation_interval": f"{SCRAPE_INTERVAL_S}s"}
    config["rule_files"] = [str(OBSERVE / "prometheus" / name) for name in config["rule_files"]]
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": targets[job["job_name"]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{free_port()}"
    server = Server(
        url=url,
        command=[
            PROMETHEUS,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}",
        ],
        log=folder / "log",
        is_ready=lambda: _answers(f"{url}/-/ready"),
    )
    with running(server):
        prometheus = Prometheus(url)
        _run_jobs(limpid.url, site)
        wait_until(
            lambda: all(prometheus.query(name) for name in AFTER_JOBS),
            timeout_s=DATA_TIMEOUT_S,
            what="a scrape of the first jobs",
        )
        _run_jobs(limpid.url, site)  # rates are of what grows between two scrapes
        held = {"input": {"url": site.url("/held.wav")}}
        httpx.post(f"{limpid.url}/api/v1/jobs", json=held, timeout=60).raise_for_status()
        yield prometheus
    tests_ended.set()  # before the stack is stopped, which would wait for the job that is held


def _run_jobs(url: str, site: WebServer) -> None:
    """One job that succeeds and calls a webhook, one whose recording cannot be fetched."""
    known = len(site.received)
    with httpx.Client(base_url=url, timeout=60) as client, RECORDING.open("rb") as recording:
        options = json.dumps({"webhook": {"url": site.url("/event")}})
        good = client.post("/api/v1/jobs", files={"file": recording}, data={"options": options}).raise_for_status()
        bad = client.post("/api/v1/jobs", json={"input": {"url": site.url("/missing.wav")}}).raise_for_status()
        ends = [_ended(client, job.headers["location"])["status"] for job in (good, bad)]
        wait_until(
            lambda: any(request.path == "/event" for request in site.received[known:]),
            timeout_s=JOB_TIMEOUT_S,
            what="the webhook",
        )
    assert ends == ["succeeded", "failed"]


def _ended(client: httpx.Client, path: str) -> dict[str, Any]:
    """The job once it has ended."""
    jobs: list[dict[str, Any]] = []

    def has_ended() -> bool:
        jobs.append(client.get(path, params={"wait": 5}).raise_for_status().json())
        return jobs[-1]["finished_at"] is not None

    wait_until(has_ended, timeout_s=JOB_TIMEOUT_S, what="the job's end")
    return jobs[-1]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def panel_expressions() -> Iterator[tuple[str, str]]:
    """Title and expression of everything that the dashboard draws."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", RATE_INTERVAL)


def documented_expressions() -> list[str]:
    """The expressions that the page about metrics recommends."""
    page = Path("docs/operations/metrics.md")
    text = "".join(block.text for block in blocks(page) if block.language == "promql")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_every_target_is_scraped(prometheus: Prometheus) -> None:
    wait_until(lambda: len(prometheus.query("up == 1")) == 3, timeout_s=DATA_TIMEOUT_S, what="three targets up")

    names = {(series["metric"]["job"]) for series in prometheus.query("up == 1")}
    assert names == {"limpid-api", "limpid-worker"}


def test_every_panel_of_the_dashboard_shows_data(prometheus: Prometheus) -> None:
    assert not _without_data(prometheus, {f"{title}: {each}": each for title, each in panel_expressions()})


def test_every_expression_of_the_page_about_metrics_answers(prometheus: Prometheus) -> None:
    found = documented_expressions()

    assert len(found) == 4
    assert not _without_data(prometheus, {each: each for each in found})


def test_every_alert_rule_is_evaluated_and_none_fires_on_a_healthy_stack(prometheus: Prometheus) -> None:
    written = re.findall(r"- alert: (\w+)", (OBSERVE / "prometheus/alerts.yml").read_text(encoding="utf-8"))

    def rules() -> list[Any]:
        return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    wait_until(
        lambda: all(rule["health"] == "ok" for rule in rules()), timeout_s=DATA_TIMEOUT_S, what="an evaluation of all"
    )
    assert [rule["name"] for rule in rules()] == written
    assert not [rule["name"] for rule in rules() if rule["state"] == "firing"]


def _without_data(prometheus: Prometheus, expressions: Mapping[str, str]) -> Mapping[str, list[Any]]:
    """What never had a series with a number, although it was waited for, with the series that it has now."""
    missing = dict(expressions)

    def has_all() -> bool:
        for name, expression in list(missing.items()):
            if any(series["value"][1] != "NaN" for series in prometheus.query(expression)):
                del missing[name]
        return not missing

    with suppress(AssertionError):
        wait_until(has_all, timeout_s=DATA_TIMEOUT_S, what="data for every expression")
    return {name: prometheus.query(expression) for name, expression in missing.items()}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A span as the collector got it."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str


def spans_of(site: WebServer) -> list[Seen]:
    """Every span that was sent so far."""
    return [
        Seen(
            service=next(each.value.string_value for each in group.resource.attributes if each.key == "service.name"),
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
        )
        for request in list(site.received)
        if request.path == "/v1/traces"
        for group in ExportTraceServiceRequest.FromString(request.body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def test_one_job_is_one_trace_over_all_processes_and_begins_at_the_client(
    stack: tuple[RunningStack, int], site: WebServer
) -> None:
    trace_id, client_span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    options = json.dumps({"preset": "clean-only", "webhook": {"url": site.url("/traced")}})
    with httpx.Client(base_url=stack[0].url, timeout=60) as client, RECORDING.open("rb") as recording:
        headers = {"traceparent": f"00-{trace_id}-{client_span}-01"}
        job = client.post("/api/v1/jobs", files={"file": recording}, data={"options": options}, headers=headers)
        assert _ended(client, job.raise_for_status().headers["location"])["status"] == "succeeded"

    def trace() -> dict[str, Seen]:
        return {span.name: span for span in spans_of(site) if span.trace_id == trace_id}

    whole = {"POST /api/v1/jobs", "send cpu.interactive", "run cpu.interactive", "enhance", "deliver webhook"}
    wait_until(lambda: whole <= set(trace()), timeout_s=DATA_TIMEOUT_S, what="the whole trace")

    found = trace()
    assert found["POST /api/v1/jobs"].parent_id == client_span
    for name in ("send cpu.interactive", "run cpu.interactive", "deliver webhook"):
        assert found[name].parent_id == found["POST /api/v1/jobs"].span_id, name
    assert found["enhance"].parent_id == found["run cpu.interactive"].span_id
    assert {span.service for span in found.values()} == {"limpid-api", "limpid-worker"}
    (event,) = [request for request in site.received if request.path == "/traced"]
    assert event.headers["traceparent"].split("-")[1:3] == [trace_id, found["deliver webhook"].span_id]

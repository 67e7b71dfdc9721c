"""What is written about metrics, and built on them, is about metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry, Metric

from api.metrics import ApiMetrics
from core.fleet.queue_state import QueueState
from core.jobs import Device, JobStatus, Lane
from core.monitoring.census import JobCount, RecentCensus
from core.webhooks.outbox import DeliveryStatus, Outcome
from tests.factories import NOON, make_job
from tests.monitoring_fakes import FakeCensusTaker, FakeFleet
from worker.metrics import WorkerMetrics
from worker.observer import RunEnd, RunOutcome

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/operations/metrics.md"
RUNBOOK = ROOT / "docs/operations/runbook.md"
OBSERVE = ROOT / "deploy/observe"
PROVISIONING = OBSERVE / "grafana/provisioning"
DASHBOARD = OBSERVE / "grafana/dashboards/limpid.json"
ALERTS = OBSERVE / "prometheus/alerts.yml"

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_UNITS = ("_seconds", "_bytes", "_ratio")
_ROW = re.compile(r"^\| `(limpid_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
_NAME = re.compile(r"\b(?:limpid|process)_\w+")


def families() -> Iterator[Metric]:
    """Every metric of API and worker, with a sample of each."""
    fleet, taker = FakeFleet(), FakeCensusTaker()
    fleet.queues = [QueueState(device=Device.CPU, lane=Lane.BULK)]
    taker.jobs = [JobCount(status=JobStatus.QUEUED, preset="speech", count=1)]
    api = ApiMetrics(RecentCensus(taker, fleet, now=lambda: NOON))
    api.requests.labels("GET", "/healthz", "2xx").observe(0.1)
    yield from api.registry.collect()

    registry = CollectorRegistry()
    worker = WorkerMetrics(registry)
    job = make_job(attempt=1)
    report = {"duration_s": 1.0, "rtf": 0.1, "stage_s": {"prepare": 0.1}, "peak_memory_bytes": 1}
    worker.run_started(job, waited_s=1.0)
    worker.run_ended(RunEnd(job=job, outcome=RunOutcome.SUCCEEDED, report=report))
    worker.run_ended(RunEnd(job=job, outcome=RunOutcome.FAILED, code="invalid_audio"))
    worker.model_loaded("dns48", device="cpu", duration_s=1.0)
    worker.webhook_attempted(Outcome(status=DeliveryStatus.DELIVERED), 0.1)
    worker.swept(sent=1, lost=1)
    yield from registry.collect()


def described() -> Mapping[str, tuple[str, frozenset[str]]]:
    """Type and labels of every metric of ours, under the name that the page gives it."""
    found = {}
    for family in families():
        if family.name.startswith("limpid_") and not family.name.endswith("_created"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found[name] = (family.type, frozenset(labels))
    return found


def sample_names() -> frozenset[str]:
    """What PromQL can ask for."""
    return frozenset(f"{family.name}{suffix}" for family in families() for suffix in _SUFFIXES.get(family.type, ("",)))


def expressions(node: Any) -> Iterator[str]:  # noqa: ANN401 - JSON or YAML
    """Every PromQL expression in a dashboard or a file of rules."""
    if isinstance(node, Mapping):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        for value in node.values():
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def lost(written: Any, read: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON
    """Where `read` lacks, or has differently, what was written."""
    if isinstance(written, Mapping) and isinstance(read, Mapping):
        for key, value in written.items():
            yield from lost(value, read.get(key), f"{path}/{key}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for number, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from lost(one, other, f"{path}/{number}")
    elif written != read:
        yield path


def test_the_page_and_the_code_have_the_same_metrics() -> None:
    page = {
        name: (kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in _ROW.findall(PAGE.read_text(encoding="utf-8"))
    }

    assert page == described()


def test_names_follow_the_rules_of_prometheus() -> None:
    for name, (kind, labels) in described().items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert kind != "histogram" or name.endswith(_UNITS), name
        assert not {"job_id", "job", "instance", "owner", "url"} & labels, name


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS], ids=lambda path: path.name)
def test_dashboard_and_alerts_ask_for_metrics_that_there_are(path: Path) -> None:
    found = list(expressions(yaml.safe_load(path.read_text(encoding="utf-8"))))  # JSON is YAML

    asked = {name for expression in found for name in _NAME.findall(expression)}
    assert len(found) > 10
    assert asked <= sample_names()


def test_prometheus_scrapes_services_that_there_are() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = compose["services"]
    jobs = yaml.safe_load((OBSERVE / "prometheus/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {job["job_name"]: job["dns_sd_configs"][0] for job in jobs}

    workers = {name for name, service in services.items() if "worker" in service.get("command", [])}
    assert set(targets["limpid-worker"]["names"]) == workers
    for name in workers:
        assert services[name]["environment"]["LIMPID_METRICS_PORT"] == targets["limpid-worker"]["port"]
        assert services[name]["environment"]["LIMPID_METRICS_HOST"] == "0.0.0.0"
    assert targets["limpid-api"]["names"] == ["api"]
    assert services["api"]["ports"][0].endswith(f":{targets['limpid-api']['port']}")
    mounted = [volume.split(":")[0] for name in ("prometheus", "grafana") for volume in services[name]["volumes"]]
    assert all((ROOT / path).is_dir() for path in mounted if path.startswith("./"))


def test_dashboard_shows_every_metric_of_the_workers_and_queues() -> None:
    text = DASHBOARD.read_text(encoding="utf-8")

    assert [name for name in described() if name not in text] == [
        "limpid_http_requests_in_progress",
        "limpid_census_success",
        "limpid_queue_stalled",
    ]


def test_dashboard_is_one_of_grafanas_own_schema() -> None:
    register_default_plugins()
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))

    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(document)))

    assert not [*lost(document, read)]  # what the schema does not know is left out


def test_grafana_is_provisioned_with_the_source_and_the_folder_that_the_dashboard_has() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/limpid.yml").read_text(encoding="utf-8"))["providers"]
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]

    used = {panel["datasource"]["uid"] for panel in panels if "datasource" in panel}
    assert used == {source["uid"]}
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    assert mounts["./deploy/observe/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/observe/grafana/provisioning"] == "/etc/grafana/provisioning"


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]

    taken = [
        (x, y)
        for panel in panels
        for place in (panel["gridPos"],)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_alert_has_its_section_in_the_runbook() -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    sections = set(re.findall(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))

    assert {rule["alert"] for rule in rules} == sections
    for rule in rules:
        assert rule["annotations"]["runbook"] == f"docs/operations/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning"}

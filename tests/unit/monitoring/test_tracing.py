"""One request is one trace, through queue, worker and webhook; without a tracer nothing is stored or sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from api.main import create_app
from core.backend import Backend, open_backend
from core.errors import MissingPackage
from core.monitoring import tracing_setup
from core.monitoring.log_context import current_fields
from core.monitoring.span_processors import QueryRemover
from core.monitoring.tracing import current_traceparent, span
from core.monitoring.tracing_setup import start_tracing
from core.settings import Settings
from core.webhooks.signing import new_secret
from tests.unit.api.recordings import wav
from tests.web_server import Received, Reply, WebServer, web_server
from worker.shutdown import ShutdownFlag
from worker.tasks import ProcessContext

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT_SPAN_ID = "00f067aa0ba902b7"
STAGES = ("prepare", "enhance", "finish")


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Receives every span that ends during the test."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(QueryRemover())
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)  # the API lets it be set only once in a process
    return memory


@pytest.fixture
def settings(sqlite_database: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path, database_url=sqlite_database, webhook_allow="127.0.0.0/8", webhook_secret=new_secret()
    )


@pytest.fixture
def backend(settings: Settings) -> Iterator[Backend]:
    opened = open_backend(settings)
    yield opened
    opened.close()


@pytest.fixture
def receiver() -> Iterator[WebServer]:
    with web_server(lambda _: Reply(status=204)) as server:
        yield server


def go_through(
    settings: Settings, backend: Backend, receiver: WebServer, headers: dict[str, str] | None = None
) -> Received:
    """Submit a job as a client does, run it and deliver its webhook as a worker does; what the receiver received."""
    options = {"webhook": {"url": receiver.url()}, "overrides": {"pictures": False, "chain": []}}
    answer = TestClient(create_app(settings, backend)).post(
        "/api/v1/jobs",
        params={"preset": "clean-only", "options": json.dumps(options)},
        content=wav(),
        headers={"Content-Type": "audio/wav", **(headers or {})},
    )
    assert answer.status_code == 202, answer.text
    context = ProcessContext(settings, ShutdownFlag())
    context.runner.run(answer.json()["id"])
    assert context.courier.deliver_due() == 1
    context.backend.close()
    [received] = receiver.received
    return received


def span_of(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    [found] = [each for each in spans if each.name == name]
    return found


def id_of(each: ReadableSpan) -> str:
    return trace.format_span_id(each.get_span_context().span_id)


def parent_of(each: ReadableSpan) -> str:
    assert each.parent is not None
    return trace.format_span_id(each.parent.span_id)


def test_request_queue_run_and_webhook_are_one_trace_the_clients(
    settings: Settings, backend: Backend, receiver: WebServer, exporter: InMemorySpanExporter
) -> None:
    received = go_through(settings, backend, receiver, headers={"traceparent": f"00-{TRACE_ID}-{CLIENT_SPAN_ID}-01"})

    spans = exporter.get_finished_spans()
    assert {trace.format_trace_id(each.get_span_context().trace_id) for each in spans} == {TRACE_ID}
    request, send = span_of(spans, "POST /api/v1/jobs"), span_of(spans, "send cpu.interactive")
    run, deliver = span_of(spans, "run cpu.interactive"), span_of(spans, "deliver webhook")
    assert [each.kind for each in (request, send, run, deliver)] == [
        SpanKind.SERVER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.CLIENT,
    ]
    assert parent_of(request) == CLIENT_SPAN_ID
    assert {parent_of(each) for each in (send, run, deliver)} == {id_of(request)}
    assert {parent_of(span_of(spans, name)) for name in ("obtain input", *STAGES, "store outputs")} == {id_of(run)}
    assert run.attributes is not None
    assert run.attributes["limpid.outcome"] == "succeeded"
    assert received.headers["traceparent"] == f"00-{TRACE_ID}-{id_of(deliver)}-01"


def test_stages_follow_one_another_within_the_run(
    settings: Settings, backend: Backend, receiver: WebServer, exporter: InMemorySpanExporter
) -> None:
    go_through(settings, backend, receiver)

    spans = exporter.get_finished_spans()
    run = span_of(spans, "run cpu.interactive")
    stages = [span_of(spans, name) for name in STAGES]
    times = [run.start_time, *(time for each in stages for time in (each.start_time, each.end_time)), run.end_time]
    assert times == sorted(times, key=lambda time: time or 0)
    assert stages[0].end_time == stages[1].start_time


def test_without_a_tracer_nothing_is_stored_or_sent(settings: Settings, backend: Backend, receiver: WebServer) -> None:
    received = go_through(settings, backend, receiver)

    [job] = backend.jobs.list().jobs
    assert job.traceparent is None
    assert "traceparent" not in received.headers


def test_log_lines_inside_a_trace_say_which(exporter: InMemorySpanExporter) -> None:
    with span("outer", parent=f"00-{TRACE_ID}-{CLIENT_SPAN_ID}-01"):
        fields = current_fields()
        traceparent = current_traceparent()

    assert fields["trace_id"] == TRACE_ID
    assert traceparent == f"00-{TRACE_ID}-{fields['span_id']}-01"
    assert "trace_id" not in current_fields()


def test_a_failed_span_tells_the_kind_of_error_and_not_its_message(exporter: InMemorySpanExporter) -> None:
    def fail() -> None:
        with span("work"):
            raise ValueError("https://s3.example.com/?X-Amz-Signature=5f1b")

    with pytest.raises(ValueError, match="s3"):
        fail()

    [failed] = exporter.get_finished_spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes == {"error.type": "ValueError"}
    assert "5f1b" not in failed.to_json()


def test_spans_tell_nothing_of_queries_and_options(
    settings: Settings, backend: Backend, receiver: WebServer, exporter: InMemorySpanExporter
) -> None:
    go_through(settings, backend, receiver)

    told = "".join(each.to_json() for each in exporter.get_finished_spans())
    assert "/api/v1/jobs" in told
    assert "pictures" not in told
    assert str(receiver.port) not in told


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_are_not_traced(settings: Settings, backend: Backend, exporter: InMemorySpanExporter, path: str) -> None:
    TestClient(create_app(settings, backend)).get(path)

    assert exporter.get_finished_spans() == ()


def test_tracing_without_its_packages_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_setup, "_PACKAGES", ("opentelemetry.nowhere.trace",))

    with pytest.raises(MissingPackage, match=r"limpid\[otel\]"):
        start_tracing(Settings(tracing="on"), service="limpid-api")


def test_tracing_that_is_off_asks_for_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_setup, "_PACKAGES", ("opentelemetry.nowhere.trace",))

    start_tracing(Settings(), service="limpid-api")()

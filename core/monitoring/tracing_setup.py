"""Where spans go: set up once per process, after it was forked."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

from opentelemetry import trace

from core.errors import MissingPackage
from core.settings import Settings

_PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
EXPORT_TIMEOUT_S = 3.0
"""For one batch of spans, retries included: a process that ends waits so long for a collector that does not answer."""


def start_tracing(settings: Settings, *, service: str) -> Callable[[], None]:
    """Send this process's spans to the OpenTelemetry collector; returns what sends the last ones before it ends.

    OpenTelemetry's own variables say where and what: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER,
    OTEL_SERVICE_NAME (default: `service`) and others. Does nothing with LIMPID_TRACING=off. MissingPackage without the
    extra `otel`. A collector that does not answer costs spans, lines in the log, and EXPORT_TIMEOUT_S at the end.
    """
    if settings.tracing == "off":
        return lambda: None
    check_tracing(settings)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from core.monitoring.span_processors import QueryRemover

    own = Resource.create({"service.name": service, "service.version": version("limpid")})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(QueryRemover())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def check_tracing(settings: Settings) -> None:
    """MissingPackage when spans are wanted and could not be sent: for a parent to see before it forks."""
    if settings.tracing == "on" and not all(_is_installed(name) for name in _PACKAGES):
        raise MissingPackage(
            "LIMPID_TRACING=on needs packages that are not installed. Install them with: pip install 'limpid[otel]'"
        )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False

"""Traces: what happened to one request, from the API through the queue and the worker to the webhook.

Without the extra `otel`, or with LIMPID_TRACING off, nothing here costs more than a function call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"
"""W3C Trace Context. `tracestate` is not carried: nothing of ours writes it, and a job would have to store it."""

Attributes = Mapping[str, str | int | float | bool]

_TRACER = "limpid"
_propagator = TraceContextTextMapPropagator()


@contextmanager
def span(
    name: str, attributes: Attributes | None = None, *, kind: SpanKind = SpanKind.INTERNAL, parent: str | None = None
) -> Iterator[Span]:
    """A span that lasts as long as the context, below `parent` (a traceparent) or else below the current one.

    An exception marks it as failed, with its type only: messages may hold what a trace must not.
    """
    context = None if parent is None else _propagator.extract({HEADER: parent})
    with trace.get_tracer(_TRACER).start_as_current_span(
        name, context=context, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except Exception as error:
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(StatusCode.ERROR)
            raise


def add_span(name: str, *, start_ns: int, end_ns: int) -> None:
    """Note, below the current span, what took place between two times (nanoseconds since the epoch)."""
    trace.get_tracer(_TRACER).start_span(name, start_time=start_ns).end(end_ns)


def current_traceparent() -> str | None:
    """The current span as a W3C traceparent, to go on with elsewhere; None outside a trace."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(HEADER)

"""What a log line belongs to: a request, a job, a trace. Every logger knows it, however deep, without being told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from opentelemetry import trace

_EMPTY: Mapping[str, object] = MappingProxyType({})
_fields: ContextVar[Mapping[str, object]] = ContextVar("limpid_log_fields", default=_EMPTY)


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Give `fields` to every log line of this thread or task while the context lasts, beside those it has already."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def current_fields() -> Mapping[str, object]:
    """The fields of the contexts that last now, and `trace_id` and `span_id` (W3C, hexadecimal) inside a trace."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return _fields.get()
    ids = {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}
    return {**_fields.get(), **ids}

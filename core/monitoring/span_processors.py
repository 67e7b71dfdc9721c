"""What is done to every span. Needs the SDK of the extra `otel`."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from core.monitoring.redaction import REDACTED

QUERY = "url.query"


class QueryRemover(SpanProcessor):
    """Takes queries out of requests' spans: a job's options, secrets of webhooks among them, may be there."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Called with each span that begins."""
        if span.attributes is not None and QUERY in span.attributes:
            span.set_attribute(QUERY, REDACTED)

"""What Prometheus scrapes from the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from prometheus_client.exposition import choose_encoder

from api.auth import ScraperDep
from api.metrics import ApiMetrics
from api.openapi import problems
from core.errors import Forbidden, Unauthenticated

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "In Prometheus' text format, or OpenMetrics where the request accepts it",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems({401: Unauthenticated, 403: Forbidden}),
    },
)
def get_metrics(_caller: ScraperDep, request: Request, accept: Annotated[str, Header()] = "") -> Response:
    """With `LIMPID_AUTH=on` it asks for a key with the scope `metrics`, unless `LIMPID_METRICS_PUBLIC=1`."""
    metrics: ApiMetrics = request.app.state.metrics
    encode, content_type = choose_encoder(accept)
    return Response(encode(metrics.registry), headers={"Content-Type": content_type})

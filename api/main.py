"""The API as an ASGI application, and the process that serves it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from types import FrameType
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.routing import BaseRoute

from api import webhook_events
from api.batch_openapi import DEFINITIONS as BATCH_DEFINITIONS
from api.errors import install_error_handlers
from api.exposure import LoopbackNameMiddleware, SameOriginMiddleware, check_exposure
from api.metrics import ApiMetrics, RequestMetricsMiddleware
from api.openapi import ANY_PROBLEM, TAGS, add_problem_schemas
from api.page import install_page
from api.polling import JobReader
from api.reference import install_reference
from api.request_id import RequestIdMiddleware
from api.routes import batches, enhance, estimate, events, health, jobs, metrics, models, presets, uploads, webhooks
from api.schemas import API_PREFIX
from core.backend import Backend, open_backend
from core.estimation.forecast import Forecaster
from core.monitoring.census import RecentCensus
from core.monitoring.tracing_setup import start_tracing
from core.settings import Settings

SHUTDOWN_S = 10  # for requests in progress

_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

_TELEMETRY: TelemetryConfig = {
    "metrics": False,  # Prometheus' are our own: api.metrics
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
    "exclude": lambda scope: scope.get("path") in _PROBES,
}


def create_app(settings: Settings | None = None, backend: Backend | None = None) -> FastAPI:
    """The application on `backend`, by default the one that `settings`, by default the environment's, describe."""
    settings = settings or Settings()
    app = _Api(
        title="Limpid",
        summary="Audio restoration as an asynchronous job backend.",
        version=version("limpid"),
        openapi_tags=TAGS,
        redirect_slashes=False,
        docs_url=None,  # FastAPI's own pages load their scripts from elsewhere: see api.reference
        redoc_url=None,
        webhooks=webhook_events.router,
        responses=ANY_PROBLEM,
        telemetry=_TELEMETRY,
    )
    backend = backend or open_backend(settings)
    app.state.settings = settings
    app.state.is_stopping = False
    app.state.backend = backend
    app.state.census = RecentCensus(backend.census, backend.fleet, now=lambda: datetime.now(UTC))
    app.state.metrics = ApiMetrics(app.state.census)
    app.add_middleware(RequestMetricsMiddleware, metrics=app.state.metrics)
    forecaster = Forecaster(loads=backend.loads, history=backend.history, settings=settings)
    app.state.job_reader = JobReader(jobs=backend.jobs, forecaster=forecaster)
    if settings.auth == "off":
        app.add_middleware(SameOriginMiddleware)
    app.add_middleware(RequestIdMiddleware)
    install_error_handlers(app)
    app.router.routes.extend(_rest_routes())
    install_reference(app)
    install_page(app, settings)
    return app


def run_api(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Logs, access log included, go through logging, as the caller has set it up.

    SystemExit with status 1 when the port cannot be had; InsecureExposure when strangers could use the server.
    """
    check_exposure(settings, host)
    app = create_app(settings)
    if settings.auth == "off" and not settings.allow_insecure:
        app.add_middleware(LoopbackNameMiddleware)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level=settings.log_level.lower(),
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    server = _Server(config, app)
    finish_tracing = start_tracing(settings, service="limpid-api")
    server.run()
    finish_tracing()
    if not server.started:
        raise SystemExit(1)


@cache
def _rest_routes() -> Sequence[BaseRoute]:
    """The routes of the REST interface, the same for every application of this process.

    FastAPI analyses included routes at the first request, for 40 ms: once, and not for each of the tests' applications.
    """
    router = APIRouter(responses=ANY_PROBLEM)
    for module in (jobs, events, batches, uploads, webhooks, presets, models, estimate):
        router.include_router(module.router, prefix=API_PREFIX)
    for module in (enhance, health, metrics):
        router.include_router(module.router)
    return router.routes


class _Api(FastAPI):
    """Completes its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        add_problem_schemas(document)
        document["components"]["schemas"].update(BATCH_DEFINITIONS)
        return document


class _Server(uvicorn.Server):
    """Tells the application at once that it is to stop, so that long polls need not be waited for."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.is_stopping = True
        super().handle_exit(sig, frame)

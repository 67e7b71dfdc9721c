"""The API as an ASGI application, and the process that serves it."""

from __future__ import annotations

import logging
from importlib.metadata import version

import uvicorn
from fastapi import FastAPI

from api.errors import install_error_handlers
from api.openapi import TAGS
from api.request_id import RequestIdMiddleware
from api.routes import enhance, health, jobs, models, presets
from api.schemas import API_PREFIX
from core.backend import Backend, open_backend
from core.settings import Settings

SHUTDOWN_S = 10  # for requests in progress; a long poll need not delay a restart by its minute


def create_app(settings: Settings | None = None, backend: Backend | None = None) -> FastAPI:
    """The application on `backend`, by default the one that `settings`, by default the environment's, describe."""
    settings = settings or Settings()
    app = FastAPI(
        title="Limpid",
        summary="Audio restoration as an asynchronous job backend.",
        version=version("limpid"),
        openapi_tags=TAGS,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.backend = backend or open_backend(settings)
    app.add_middleware(RequestIdMiddleware)
    install_error_handlers(app)
    for module in (jobs, presets, models):
        app.include_router(module.router, prefix=API_PREFIX)
    for module in (enhance, health):
        app.include_router(module.router)
    return app


def run_api(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Logs, access log included, go through logging, as the caller has set it up."""
    logging.getLogger("uvicorn.access").setLevel(settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )

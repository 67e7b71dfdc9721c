"""The REST reference at `/docs`: Swagger UI over our OpenAPI document, with scripts from this server alone."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

REFERENCE_PATH = "/docs"
_ASSETS = Path(fastapi_offline.__file__).parent / "static"  # of that package, Swagger UI's files are all that is used

_PAGE = f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Limpid: REST reference</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="{REFERENCE_PATH}/assets/swagger-ui.css" />
    <script defer src="{REFERENCE_PATH}/assets/swagger-ui-bundle.js"></script>
    <script defer src="{REFERENCE_PATH}/start.js"></script>
  </head>
  <body>
    <div id="reference"></div>
    <noscript>The reference needs JavaScript. The document that it shows is at /openapi.json.</noscript>
  </body>
</html>
"""
# A file of its own: the policy allows no script within the page.
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  validatorUrl: null,
});
"""

router = APIRouter(prefix=REFERENCE_PATH, include_in_schema=False)


def install_reference(app: FastAPI) -> None:
    """Serve the reference from `app`, which must not have FastAPI's own."""
    app.include_router(router)
    app.mount(f"{REFERENCE_PATH}/assets", StaticFiles(directory=_ASSETS))


def reference_policy(connect_sources: str) -> str:
    """Its Content-Security-Policy. Swagger UI carries its icons in its style sheet."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src {connect_sources}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


@router.get("")
def get_reference() -> HTMLResponse:
    """The page."""
    return HTMLResponse(_PAGE)


@router.get("/start.js")
def get_start() -> Response:
    """What starts Swagger UI on it."""
    return Response(_START, media_type="text/javascript")

"""The page at `/`: what `make web` built, under a policy that lets it load and reach nothing but its own server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.reference import REFERENCE_PATH, reference_policy
from core.errors import NotFound
from core.settings import Settings

ASSETS_PATH = "/assets"
_PAGE_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"

router = APIRouter(include_in_schema=False)


def install_page(app: FastAPI, settings: Settings) -> None:
    """Serve the page of `settings.resolved_web_dir` from `app`, and send security headers with every response."""
    web_dir = settings.resolved_web_dir
    app.include_router(router)
    app.mount(ASSETS_PATH, _Assets(directory=web_dir / "assets", check_dir=False))
    policies = {
        "/": page_policy(settings),
        ASSETS_PATH: page_policy(settings),
        REFERENCE_PATH: reference_policy(_connect_sources(settings)),
    }
    app.add_middleware(SecurityHeadersMiddleware, policies=policies)


def page_policy(settings: Settings) -> str:
    """The page's Content-Security-Policy."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src 'self' blob:",
            f"connect-src {_connect_sources(settings)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def _connect_sources(settings: Settings) -> str:
    """Uploads in parts go to the object store, where one is configured, and the results come from there."""
    endpoint = settings.s3_public_endpoint or settings.s3_endpoint
    return "'self'" if endpoint is None else "'self' {0.scheme}://{0.netloc}".format(urlsplit(endpoint))


@router.get("/")
@router.head("/")
def get_page(request: Request) -> Response:
    """The page; NotFound says how to build it where it is missing."""
    settings: Settings = request.app.state.settings
    index = settings.resolved_web_dir / "index.html"
    if not index.is_file():
        raise NotFound("The page has not been built: `make web` does it, and needs npm. The REST API is at /docs.")
    return FileResponse(index, headers={"Cache-Control": "no-cache"})


class SecurityHeadersMiddleware:
    """Says what a browser may do with a response: little, and with data nothing."""

    def __init__(self, app: ASGIApp, *, policies: Mapping[str, str]) -> None:
        """`policies` are the Content-Security-Policies of the pages, by the path at which each begins."""
        self.app = app
        self._policies = policies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        added = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            **self._headers_of(scope["path"]),
        }

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in added.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _headers_of(self, path: str) -> Mapping[str, str]:
        policy = self._policies.get(f"/{path[1:].partition('/')[0]}")
        if policy is None:
            return {"Content-Security-Policy": _DATA_POLICY}
        return _PAGE_HEADERS | {"Content-Security-Policy": policy}


class _Assets(StaticFiles):
    """Files with a hash in their names, so that they never change; compressed ones lie beside them as `NAME.gz`."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        headers = Headers(scope=scope)
        compressed, _ = self.lookup_path(f"{path}.gz")
        if compressed and "range" not in headers and _accepts_gzip(headers):
            response = await super().get_response(f"{path}.gz", scope)
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Content-Type"] = _media_type_of(path)
        else:
            response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["Vary"] = "Accept-Encoding"
        return response


def _accepts_gzip(headers: Headers) -> bool:
    codings = (coding.partition(";") for coding in headers.get("accept-encoding", "").split(","))
    return any(name.strip() == "gzip" and weight.strip() not in ("q=0", "q=0.0") for name, _, weight in codings)


def _media_type_of(path: str) -> str:
    # Not from `mimetypes`, which reads the machine's own tables.
    return {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}.get(
        Path(path).suffix, "application/octet-stream"
    )

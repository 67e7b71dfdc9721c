"""What keeps an API without authentication to this machine and to the person who sits at it.

Every web page that the person opens can send requests to 127.0.0.1. So, while LIMPID_AUTH is off: the server listens on
loopback only, answers only to loopback's own names (a page whose name is rebound to 127.0.0.1 has another), and changes
nothing on behalf of another site.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import problem_response
from core.errors import InsecureExposure
from core.settings import Settings

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({"same-origin", "none"})  # of Sec-Fetch-Site; "none": typed by the person


def check_exposure(settings: Settings, host: str) -> None:
    """InsecureExposure when everyone who reaches `host` could use the server."""
    if settings.auth == "off" and not settings.allow_insecure and not is_loopback(host):
        raise InsecureExposure(
            f"Refusing to listen on {host} with LIMPID_AUTH=off: everyone who reaches it could use it. "
            "Set LIMPID_AUTH=on and make a key (`limpid keys create NAME`), listen on 127.0.0.1, or, where something "
            "else keeps strangers out, set LIMPID_ALLOW_INSECURE=1."
        )


def is_loopback(host: str) -> bool:
    """True for the names and addresses by which a machine reaches itself."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class LoopbackNameMiddleware:
    """Refuses requests whose Host is not a name of this machine's loopback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_loopback(_name_in(Headers(scope=scope).get("host", ""))):
            response = problem_response(
                Request(scope),
                403,
                code="foreign_host",
                title="The server answers to localhost only",
                detail="Without authentication it answers to localhost and 127.0.0.1 alone. To use another name, the "
                "operator sets LIMPID_AUTH=on, or LIMPID_ALLOW_INSECURE=1.",
            )
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


class SameOriginMiddleware:
    """Refuses requests that change something and come from another site's page. What is no browser is let through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS and _is_foreign(Headers(scope=scope)):
            response = problem_response(
                Request(scope),
                403,
                code="cross_site",
                title="The request comes from another site",
                detail="Without authentication, pages of other sites may not change anything here.",
            )
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_foreign(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITES
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _name_in(host: str) -> str:
    """The Host header without its port; empty when it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""

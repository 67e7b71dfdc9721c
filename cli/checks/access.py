"""Who gets in, who is told, who may look: authentication, webhooks, metrics, traces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cli.checks.check import Check, bad, note, ok
from core.errors import MissingPackage, StorageError

if TYPE_CHECKING:
    from core.access.keys import KeyRepository
    from core.settings import Settings


def check_access(settings: Settings, keys: KeyRepository) -> Iterator[Check]:
    """What an operator should know before others reach the server."""
    yield from _auth(settings, keys)
    yield _webhooks(settings)
    yield _metrics(settings)
    yield from _tracing(settings)


def _auth(settings: Settings, keys: KeyRepository) -> Iterator[Check]:
    if settings.auth == "off":
        if settings.allow_insecure:
            yield note("auth", "off, and LIMPID_ALLOW_INSECURE=1: everyone who reaches the API may use it")
        else:
            yield ok("auth", "off: the API listens on this machine only")
        return
    try:
        usable = [key for key in keys.list() if key.revoked_at is None]
    except StorageError:
        return  # said of the database already
    if usable:
        yield ok("auth", f"on, {len(usable)} keys")
    else:
        yield bad("auth", "on, and there is no key: make one with `limpid keys create NAME`")


def _webhooks(settings: Settings) -> Check:
    from core.webhooks.secrets import can_sign

    reach = ", ".join(str(network) for network in settings.webhook_allow)
    private = f"; private networks that may be reached: {reach}" if reach else ""
    if can_sign(settings):
        return ok("webhooks", f"signed with the server's secret{private}")
    return note("webhooks", f"only those with a secret of their own: LIMPID_WEBHOOK_SECRET is not set{private}")


def _metrics(settings: Settings) -> Check:
    if settings.metrics_port is None:
        return ok("metrics", "of the API; of workers where LIMPID_METRICS_PORT is set")
    return ok("metrics", f"of the API; of workers on {settings.metrics_host} port {settings.metrics_port}")


def _tracing(settings: Settings) -> Iterator[Check]:
    from core.monitoring.tracing_setup import check_tracing

    if settings.tracing == "off":
        return
    try:
        check_tracing(settings)
    except MissingPackage as error:
        yield bad("tracing", error.detail)
    else:
        yield ok("tracing", "on")

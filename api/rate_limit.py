"""What is left of an API key's limits, as header fields (draft-ietf-httpapi-ratelimit-headers-11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.access.limits import Standing


def rate_limit_headers(standings: Sequence[Standing]) -> Mapping[str, str]:
    """RateLimit-Policy and RateLimit; none without limits."""
    if not standings:
        return {}
    return {
        "RateLimit-Policy": ", ".join(_policy(standing) for standing in standings),
        "RateLimit": ", ".join(_state(standing) for standing in standings),
    }


def _policy(standing: Standing) -> str:
    unit = "" if standing.unit is None else f';qu="{standing.unit}"'
    window = "" if standing.window_s is None else f";w={standing.window_s}"
    return f'"{standing.name}";q={standing.quota}{unit}{window}'


def _state(standing: Standing) -> str:
    reset = "" if standing.reset_s is None else f";t={standing.reset_s}"
    return f'"{standing.name}";r={standing.remaining}{reset}'

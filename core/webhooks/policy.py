"""What an attempt to deliver comes to, and when the next one is due: the pure rules of Standard Webhooks."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

from core.errors import EnhancerError, ForbiddenUrl
from core.outbound.post import Answer
from core.webhooks.events import EventType
from core.webhooks.outbox import Delivery, DeliveryStatus, Outcome

TIMEOUT_S = 15.0
"""For one attempt, from the look-up of the name to the answer."""

_MINUTE_S, _HOUR_S = 60.0, 3600.0
RETRY_DELAYS_S = (
    5.0,
    5 * _MINUTE_S,
    30 * _MINUTE_S,
    2 * _HOUR_S,
    5 * _HOUR_S,
    10 * _HOUR_S,
    14 * _HOUR_S,
    20 * _HOUR_S,
    24 * _HOUR_S,
)
"""Between an attempt and the next, the specification's own: ten attempts in a little over three days."""

JITTER = 0.1  # a delay is up to this fraction shorter or longer, so that retries do not come in waves
MAX_RETRY_AFTER_S = 24 * _HOUR_S  # a receiver may put us off this long, and no longer

_GONE = 410
_PUTS_OFF = frozenset({429, 503})


def outcome_of(delivery: Delivery, answer: Answer | EnhancerError, *, rng: Random, now: datetime) -> Outcome:
    """What the attempt that `delivery` counts as its last one comes to.

    2xx is delivered; 410 disables the URL; everything else, a redirect included, fails and is tried again by the
    schedule, after a 429 or 503 not before its Retry-After. A URL that must not be reached, and a test, are not tried
    again.
    """
    if isinstance(answer, EnhancerError):
        is_final = isinstance(answer, ForbiddenUrl)
        return _failure(delivery, rng=rng, error=answer.detail, is_final=is_final)
    if 200 <= answer.status < 300:
        return Outcome(status=DeliveryStatus.DELIVERED, http_status=answer.status)
    if answer.status == _GONE:
        error = "The receiver answered 410 Gone: it wants no more events."
        return Outcome(status=DeliveryStatus.DISABLED, http_status=_GONE, error=error)
    error = f"The receiver answered HTTP {answer.status}."
    if 300 <= answer.status < 400:
        error += " Redirects are not followed."
    put_off_s = retry_after_s(answer.retry_after, now=now) if answer.status in _PUTS_OFF else 0.0
    return _failure(delivery, rng=rng, error=error, http_status=answer.status, at_least_s=put_off_s)


def retry_after_s(value: str | None, *, now: datetime) -> float:
    """Seconds that a Retry-After header (RFC 9110: seconds or a date) asks for, 0 to 24 hours; 0 for nonsense."""
    text = (value or "").strip()
    if text.isdecimal():
        # Nine digits are past the limit, and longer ones may be too long for int().
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _failure(
    delivery: Delivery,
    *,
    rng: Random,
    error: str,
    http_status: int | None = None,
    at_least_s: float = 0.0,
    is_final: bool = False,
) -> Outcome:
    is_last = delivery.attempts > len(RETRY_DELAYS_S) or delivery.event is EventType.WEBHOOK_TEST
    if is_final or is_last:
        return Outcome(status=DeliveryStatus.FAILED, http_status=http_status, error=error)
    delay_s = RETRY_DELAYS_S[max(delivery.attempts, 1) - 1] * rng.uniform(1 - JITTER, 1 + JITTER)
    return Outcome(
        status=DeliveryStatus.PENDING, retry_in_s=max(delay_s, at_least_s), http_status=http_status, error=error
    )

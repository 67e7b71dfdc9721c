"""What each answer of a receiver means, and when the next attempt is due."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from core.errors import EnhancerError, ForbiddenUrl, OutboundError
from core.outbound.post import Answer
from core.webhooks.events import EventType
from core.webhooks.outbox import Delivery, DeliveryStatus, Outcome
from core.webhooks.policy import RETRY_DELAYS_S, outcome_of, retry_after_s
from tests.factories import NOON

DAY_S = 86_400.0


def outcome(
    answer: Answer | EnhancerError, *, attempts: int = 1, event: EventType = EventType.JOB_SUCCEEDED, seed: int = 0
) -> Outcome:
    delivery = Delivery(
        id="d1", event=event, url="https://example.com/", payload="{}", created_at=NOON, attempts=attempts
    )
    return outcome_of(delivery, answer, rng=Random(seed), now=NOON)


def answer(status: int, retry_after: str | None = None) -> Answer:
    return Answer(status=status, retry_after=retry_after)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    assert outcome(answer(status)) == Outcome(status=DeliveryStatus.DELIVERED, http_status=status)


def test_410_disables() -> None:
    found = outcome(answer(410))

    assert (found.status, found.http_status, found.retry_in_s) == (DeliveryStatus.DISABLED, 410, None)


@pytest.mark.parametrize("status", [101, 301, 302, 307, 308, 400, 401, 404, 409, 429, 500, 502, 503])
def test_any_other_status_is_tried_again(status: int) -> None:
    found = outcome(answer(status))

    assert (found.status, found.http_status) == (DeliveryStatus.PENDING, status)
    assert found.retry_in_s == pytest.approx(5.0, rel=0.1)
    assert str(status) in (found.error or "")


def test_no_answer_is_tried_again() -> None:
    found = outcome(OutboundError("'example.com' did not answer in time."))

    assert (found.status, found.http_status) == (DeliveryStatus.PENDING, None)
    assert found.error == "'example.com' did not answer in time."


def test_forbidden_url_is_given_up_at_once() -> None:
    assert outcome(ForbiddenUrl("private")).status is DeliveryStatus.FAILED


def test_test_event_is_sent_once_only() -> None:
    found = outcome(answer(500), event=EventType.WEBHOOK_TEST)

    assert (found.status, found.retry_in_s) == (DeliveryStatus.FAILED, None)


def test_schedule_is_the_published_one_and_ends_after_ten_attempts() -> None:
    published_s = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]

    delays_s = [outcome(answer(500), attempts=attempt).retry_in_s for attempt in range(1, 10)]

    assert list(RETRY_DELAYS_S) == published_s
    assert delays_s == [pytest.approx(expected, rel=0.1) for expected in published_s]
    assert outcome(answer(500), attempts=10).status is DeliveryStatus.FAILED


def test_jitter_spreads_retries_and_repeats_with_the_seed() -> None:
    delays_s = [outcome(answer(500), attempts=4, seed=seed).retry_in_s for seed in range(100)]

    assert len(set(delays_s)) == 100
    assert min(filter(None, delays_s)) >= 7200 * 0.9
    assert max(filter(None, delays_s)) <= 7200 * 1.1
    assert outcome(answer(500), attempts=4, seed=3).retry_in_s == delays_s[3]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_puts_the_next_attempt_off(status: int) -> None:
    assert outcome(answer(status, "120")).retry_in_s == 120.0


def test_retry_after_never_brings_the_next_attempt_forward() -> None:
    assert outcome(answer(503, "1"), attempts=4).retry_in_s == pytest.approx(7200, rel=0.1)


def test_retry_after_of_another_status_says_nothing() -> None:
    assert outcome(answer(500, "3600")).retry_in_s == pytest.approx(5.0, rel=0.1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        (" 30 ", 30.0),
        ("9" * 5000, DAY_S),
        ((NOON + timedelta(minutes=10)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 600.0),
        ((NOON - timedelta(minutes=10)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 0.0),
        ((NOON + timedelta(days=30)).strftime("%a, %d %b %Y %H:%M:%S GMT"), DAY_S),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_capped(value: str | None, seconds: float) -> None:
    assert retry_after_s(value, now=NOON) == seconds

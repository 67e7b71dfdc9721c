"""When a message is sent again, and when a job has been tried often enough."""

from __future__ import annotations

import pytest

from core.run_policy import is_out_of_attempts, resend_delay_s, retry_delay_s
from tests.factories import make_job


@pytest.mark.parametrize(("sends", "delay_s"), [(1, 30), (2, 60), (3, 120), (7, 1920), (8, 3600), (5000, 3600)])
def test_each_message_waits_twice_as_long_up_to_an_hour(sends: int, delay_s: float) -> None:
    assert resend_delay_s(sends, base_s=30.0) == delay_s


@pytest.mark.parametrize(("attempt", "delay_s"), [(1, 5), (2, 10), (3, 20), (7, 300), (5000, 300)])
def test_a_transient_fault_waits_twice_as_long_each_time_up_to_five_minutes(attempt: int, delay_s: float) -> None:
    assert retry_delay_s(attempt) == delay_s


@pytest.mark.parametrize(("attempt", "uncounted", "is_out"), [(2, 0, False), (3, 0, True), (3, 1, False), (9, 6, True)])
def test_attempts_that_do_not_count_are_not_counted(attempt: int, uncounted: int, is_out: bool) -> None:
    job = make_job(attempt=attempt, uncounted_attempts=uncounted)

    assert is_out_of_attempts(job, max_attempts=3) is is_out

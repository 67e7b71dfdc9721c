"""Object keys."""

from __future__ import annotations

import pytest

from core.ids import new_id
from core.object_keys import attempt_prefix, checked_key, checked_prefix, output_key


def test_outputs_lie_below_their_attempt() -> None:
    job_id = new_id()

    assert output_key(job_id, 2, 0) == f"jobs/{job_id}/2/00"
    assert output_key(job_id, 2, 0).startswith(attempt_prefix(job_id, 2))
    assert not output_key(job_id, 12, 0).startswith(attempt_prefix(job_id, 1))


def test_our_own_keys_are_keys() -> None:
    key = output_key(new_id(), 1, 3)

    assert checked_key(key) == key
    assert checked_prefix(attempt_prefix(new_id(), 1)).endswith("/1/")


def test_a_key_has_a_length_limit() -> None:
    with pytest.raises(ValueError, match="Not an object key"):
        checked_key("a" * 600)

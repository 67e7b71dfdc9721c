"""Job ids."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.ids import is_id, new_id
from tests.fixed_ids import UNKNOWN_ID


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before_ms = time.time_ns() // 1_000_000

    made = uuid.UUID(new_id())

    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before_ms <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_sort_as_text_in_the_order_that_they_were_made() -> None:
    ids = [new_id() for _ in range(2000)]

    assert ids == sorted(ids)


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: new_id(), range(2000)))

    assert len(set(ids)) == len(ids)


def test_a_made_id_is_an_id() -> None:
    assert is_id(new_id())


@pytest.mark.parametrize("text", ["", "x", "0" * 36, UNKNOWN_ID.upper(), UNKNOWN_ID + "\n", "{" + UNKNOWN_ID + "}"])
def test_other_text_is_no_id(text: str) -> None:
    assert not is_id(text)

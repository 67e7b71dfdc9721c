"""A worker process that says that it is there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from queue import Queue

import pytest

from core.errors import StorageError
from tests.factories import NOON
from worker.presence import Presence

TIMEOUT_S = 5.0


class RecordingRegistry:
    """Hands on what it is told, and fails where `is_down`, or as `failures` has it, beat by beat."""

    def __init__(self) -> None:
        self.beats: Queue[tuple[str, tuple[str, ...], datetime | None, datetime]] = Queue()
        self.forgotten: list[str] = []
        self.is_down = False
        self.failures: list[Exception | None] = []
        self._beat = -1

    def beat(
        self,
        name: str,
        *,
        queues: Sequence[str],
        idle_since: datetime | None,
        now: datetime,
        models: Sequence[str] | None = None,
    ) -> None:
        self.beats.put((name, tuple(queues), idle_since, now))
        self.models = models
        self._beat += 1
        if self._beat < len(self.failures) and (failure := self.failures[self._beat]) is not None:
            raise failure
        if self.is_down:
            raise StorageError("The database did not answer.")

    def forget(self, name: str) -> None:
        if self.is_down:
            raise StorageError("The database did not answer.")
        self.forgotten.append(name)

    def purge(self, *, before: datetime) -> int:
        raise AssertionError("A process that says it is there removes nobody.")


def presence(registry: RecordingRegistry, *, at: Sequence[datetime] = (NOON,)) -> Presence:
    times = [*at]
    return Presence(
        registry,
        name="host:1",
        queues=["cpu.bulk"],
        interval_s=0.01,
        clock=lambda: times.pop(0) if len(times) > 1 else times[0],
    )


def test_each_beat_says_which_models_are_installed() -> None:
    registry = RecordingRegistry()
    installed = iter([["a"], ["a", "b"]])
    present = Presence(
        registry,
        name="host:1",
        queues=["cpu.bulk"],
        interval_s=0.01,
        find_models=lambda: next(installed, ["a", "b"]),
    )

    present.start()
    for _ in range(3):
        registry.beats.get(timeout=TIMEOUT_S)
    present.stop()

    assert registry.models == ["a", "b"]


def test_a_process_beats_until_it_stops() -> None:
    registry = RecordingRegistry()
    present = presence(registry)

    present.start()
    beats = [registry.beats.get(timeout=TIMEOUT_S) for _ in range(2)]
    present.stop()

    assert beats == [("host:1", ("cpu.bulk",), NOON, NOON)] * 2
    assert registry.forgotten == ["host:1"]


def test_a_process_is_busy_during_a_task_and_idle_since_its_end() -> None:
    registry = RecordingRegistry()
    later = NOON + timedelta(seconds=30)
    present = presence(registry, at=[NOON, later])

    with present.task():
        present.start()
        during = registry.beats.get(timeout=TIMEOUT_S)
    ended_since = [registry.beats.get(timeout=TIMEOUT_S) for _ in range(3)][-1]
    present.stop()

    assert during[2] is None
    assert ended_since[2] == later


def test_a_silent_database_ends_no_process() -> None:
    registry = RecordingRegistry()
    registry.is_down = True
    present = presence(registry)

    present.start()
    for _ in range(3):
        registry.beats.get(timeout=TIMEOUT_S)
    present.stop()

    assert registry.forgotten == []


def test_trouble_is_told_when_it_begins_and_changes_and_ends_but_not_at_every_beat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = RecordingRegistry()
    registry.failures = [
        *[StorageError("The database did not answer.")] * 3,
        *[StorageError("The database lacks a table.")] * 2,
        *[ValueError("no number")] * 2,
        *[None] * 3,
        StorageError("The database did not answer."),
    ]
    present = presence(registry)

    with caplog.at_level(logging.INFO, logger="worker.presence"):
        present.start()
        for _ in range(len(registry.failures) + 2):
            registry.beats.get(timeout=TIMEOUT_S)
        present.stop()

    assert [(record.message, getattr(record, "reason", None)) for record in caplog.records] == [
        ("beat_failed", "The database did not answer."),
        ("beat_failed", "The database lacks a table."),
        ("beat_failed", "ValueError('no number')"),
        ("beat_taken_again", None),
        ("beat_failed", "The database did not answer."),
        ("beat_taken_again", None),
    ]
    assert [record.exc_info is not None for record in caplog.records] == [False, False, True, False, False, False]


def test_a_process_that_never_began_has_nothing_to_end() -> None:
    registry = RecordingRegistry()

    presence(registry).stop()

    assert registry.forgotten == []

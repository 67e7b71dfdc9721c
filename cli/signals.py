"""Ctrl-C, SIGTERM and a closed terminal as an event that a loop can wait for."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_event() -> Iterator[Event]:
    """An event that the stop signals set, for as long as the context lasts. Main thread only."""
    event = Event()

    def on_signal(signal_number: int, frame: FrameType | None) -> None:
        event.set()

    previous = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield event
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def interrupt_on_terminate() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the command as Ctrl-C does, so that `finally` blocks clean up."""

    def on_signal(signal_number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

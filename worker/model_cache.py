"""Engines that a worker process keeps loaded, so that the next job starts at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.presets import Precision

if TYPE_CHECKING:
    from core.enhancement.protocol import Enhancer


@dataclass(frozen=True, kw_only=True)
class ModelKey:
    """What makes two jobs share an engine."""

    name: str
    shifts: int
    overlap: float
    stems: tuple[str, ...] | None
    precision: Precision = "standard"
    device: str  # PyTorch's name: "cpu" or "cuda"


class ModelCache:
    """The `capacity` most recently used engines. Not for several threads: a worker process runs one job at a time.

    `prepare` is called with each engine that is asked for, before it runs.
    """

    def __init__(
        self,
        load: Callable[[ModelKey], Enhancer],
        *,
        capacity: int,
        prepare: Callable[[ModelKey, Enhancer], None] = lambda key, engine: None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"A cache of {capacity} engines cannot serve a job.")
        self._load = load
        self._prepare = prepare
        self._capacity = capacity
        self._engines: OrderedDict[ModelKey, Enhancer] = OrderedDict()

    def get(self, key: ModelKey) -> Enhancer:
        """The engine, loaded when it is not there; the one that was not used for longest makes room first."""
        if key not in self._engines:
            while len(self._engines) >= self._capacity:
                self._engines.popitem(last=False)
            self._engines[key] = self._load(key)
        self._engines.move_to_end(key)
        engine = self._engines[key]
        self._prepare(key, engine)
        return engine

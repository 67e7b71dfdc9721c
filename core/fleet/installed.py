"""Which models a job can ask for: those that every live worker has, by what the workers say of themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from core.errors import StorageError
from core.jobs import Device
from core.model_catalogue import find_model, list_models
from core.settings import Settings

KEPT_S = 5.0
"""The workers are asked for again after this long, however many requests come."""


class WorkerModels(Protocol):
    """What the live worker processes have."""

    def models(self, device: Device, *, now: datetime) -> frozenset[str] | None:
        """Names of the models that each of those has that take jobs for `device`; None when there is no such one."""
        ...


class InstalledModels:
    """Asks the workers; this machine's own models folder while none is there, or the database is away.

    Share one per process; it may be used from many threads.
    """

    def __init__(
        self, workers: WorkerModels, *, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._workers, self._settings, self._clock = workers, settings, clock
        self._kept: tuple[float, frozenset[str]] | None = None
        self._lock = threading.Lock()

    def has(self, name: str) -> bool:
        """True for a model, or an alias of one, that is installed; NotFound when there is no such model."""
        return find_model(name).name in self.names()

    def names(self) -> frozenset[str]:
        """Every model that is installed."""
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] >= KEPT_S:
                self._kept = (self._clock(), self._ask())
            return self._kept[1]

    def _ask(self) -> frozenset[str]:
        try:
            found = self._workers.models(Device(self._settings.device), now=datetime.now(UTC))
        except StorageError:
            found = None
        return frozenset(installed_here(self._settings)) if found is None else found


def installed_here(settings: Settings) -> list[str]:
    """Names of the models whose files are in this machine's models folder, or in the package."""
    return [listed.record.name for listed in list_models(settings.resolved_models_dir) if listed.is_installed]

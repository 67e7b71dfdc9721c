"""What operators look at, in memory: queue states and counts that a test sets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.errors import StorageError
from core.fleet.queue_state import QueueState
from core.jobs import Device, Lane
from core.monitoring.census import DeliveryBacklog, JobCount


class FakeFleet:
    """QueueStates that are what `queues` says. `is_down` makes it raise StorageError; `asked` counts the questions."""

    def __init__(self) -> None:
        self.queues: Sequence[QueueState] = [QueueState(device=device, lane=lane) for device in Device for lane in Lane]
        self.worker_models: frozenset[str] | None = None  # no worker
        self.is_down = False
        self.asked = 0

    def models(self, device: Device, *, now: datetime) -> frozenset[str] | None:
        if self.is_down:
            raise StorageError("The database did not answer.")
        return self.worker_models

    def states(self, *, now: datetime) -> Sequence[QueueState]:
        self.asked += 1
        if self.is_down:
            raise StorageError("The database did not answer.")
        return self.queues


class FakeCensusTaker:
    """A CensusTaker that counts what `jobs` and `deliveries` say."""

    def __init__(self) -> None:
        self.jobs: Sequence[JobCount] = []
        self.deliveries = DeliveryBacklog()

    def count_jobs(self) -> Sequence[JobCount]:
        return self.jobs

    def count_deliveries(self, *, now: datetime) -> DeliveryBacklog:
        return self.deliveries

"""What the use cases that make a job work with, apart from them: a worker's parent imports it, which has no NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from core.fleet.installed import InstalledModels
from core.outbound.client import OutboundClient
from core.queue import JobQueue
from core.repository import JobRepository
from core.settings import Settings
from core.storage import ObjectStore


@dataclass(frozen=True, kw_only=True)
class JobDesk:
    """The collaborators of the use cases in `core.services`.

    `installed` knows the workers' models; None stands for those of this machine.
    """

    store: ObjectStore
    jobs: JobRepository
    queue: JobQueue
    outbound: OutboundClient
    settings: Settings
    installed: InstalledModels | None = None

"""In-memory adapters of core's ports, for tests that want the rules and not the servers.

They obey the same contract as the real ones: tests/unit/jobs and tests/unit/storage run it against both.
"""

from __future__ import annotations

from tests.fake_repository import FakeJobRepository
from tests.fake_services import PRIVATE_NAME, FakeJobQueue, FakeObjectStore, FakeObjectWriter, fake_resolve

__all__ = [
    "PRIVATE_NAME",
    "FakeJobQueue",
    "FakeJobRepository",
    "FakeObjectStore",
    "FakeObjectWriter",
    "fake_resolve",
]

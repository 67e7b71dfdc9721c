"""What a server has done lately, for the estimate of the next job.

Imports no options: the parent process of a worker loads this, and the options bring SciPy with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from core.jobs import Device


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """A job that succeeded: its resolved options as JSON, and processing seconds per second of audio."""

    options: Mapping[str, Any]
    rtf: float


class RunHistory(Protocol):
    """What this server has done lately."""

    def recent(self, preset: str, *, device: Device, now: datetime, limit: int) -> Sequence[PastRun]:
        """Jobs of the preset on such a device that succeeded in the last 30 days, everyone's, newest first."""
        ...

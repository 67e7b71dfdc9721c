"""The port that every engine implements, and the facts that an engine states about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from core.audio.segments import Segment as Segment
from core.audio.segments import SegmentPlan as SegmentPlan

DENOISED = "enhanced"
"""The only stem of a denoiser."""

FloatArray = NDArray[np.float32]
ProgressCallback = Callable[[float], None]
"""Called with the finished fraction (0..1) of one `enhance` call; may raise JobCancelled or LeaseLost to stop it."""


@dataclass(frozen=True, kw_only=True)
class SignalStatistics:
    """Global figures of one channel group, taken in the prepare pass, so that segments share one scale.

    `mean` and `std` are of the group's mono mix over the whole recording (`std` unbiased); 0 for silence.
    """

    samples: int
    mean: float
    std: float
    peak: float


@dataclass(frozen=True, kw_only=True)
class EnhancerInfo:
    """What the pipeline, the report and `limpid models` need to know of an engine."""

    name: str
    sample_rate: int  # Hz
    channels: int  # channels that the engine takes at once: 1 or 2
    stems: tuple[str, ...]  # names of the outputs in order; ("enhanced",) for a denoiser
    segment: SegmentPlan
    weights_sha256: str | None  # None for an engine without weights
    licence: str
    is_fast: bool = False  # the network runs in bfloat16 throughout
    shrinks_speech: bool = False  # in noise its estimate of speech is too weak: the pipeline brings it to its level
    keeps_music: bool = False  # music is programme to it, not noise: no warning when it is given some

    @property
    def is_denoiser(self) -> bool:
        """True for an engine that keeps speech and takes away the rest."""
        return self.stems == (DENOISED,)


class Enhancer(Protocol):
    """An engine. It knows nothing of files, jobs or segments beyond the one it is given."""

    @property
    def info(self) -> EnhancerInfo: ...

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        """Return the estimates (S, C, T) of `wav` (C, T), of the same length and alignment.

        `wav` is at `info.sample_rate` and holds `info.channels` channels; `ValueError` otherwise. Silence gives exact
        silence. `seed` drives whatever the engine does at random.
        """
        ...


@runtime_checkable
class WatchedEnhancer(Enhancer, Protocol):
    """An engine that has something to say about places in the recording that it is at work on."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know once the job is done."""
        ...

    def begin_recording(self) -> None:
        """Called before all else of a recording: what was to be said of another is forgotten."""
        ...

    def begin_segment(self, segment: Segment) -> None:
        """Called before the calls of `enhance` for `segment`, in order."""
        ...

"""An engine that changes nothing: what remains is the pipeline's own cost."""

from __future__ import annotations

from core.audio.segments import SegmentPlan
from core.enhancement.protocol import EnhancerInfo, FloatArray, ProgressCallback, SignalStatistics

SEGMENT_S = 30


class IdentityEnhancer:
    """Returns its input, mono, at any one rate, in segments like the bundled engines'."""

    def __init__(self, *, sample_rate: int) -> None:
        self._info = EnhancerInfo(
            name="identity",
            sample_rate=sample_rate,
            channels=1,
            stems=("enhanced",),
            segment=SegmentPlan(
                segment_samples=SEGMENT_S * sample_rate,
                context_samples=sample_rate,
                crossfade_samples=sample_rate // 10,
            ),
            weights_sha256=None,
            licence="none",
        )

    @property
    def info(self) -> EnhancerInfo:
        """What the engine states about itself."""
        return self._info

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        """Return `wav` (1, T) as the only stem, (1, 1, T)."""
        return wav[None].copy()

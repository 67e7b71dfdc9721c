"""The two-stage U-Net for film and archive sound behind the `Enhancer` protocol."""

from __future__ import annotations

from pathlib import Path

from core.enhancement.checkpoint_engine import WaveformEngine
from core.enhancement.protocol import SegmentPlan
from core.models.checkpoints import CheckpointCard, load_model
from core.models.two_stage_unet import TwoStageUNet

ARCHITECTURE = "two-stage-unet"
SEGMENT_S = 5.0
CONTEXT_FRAMES = 64
"""On each side. A frame's reach is longer (71 before, 102 behind), but less than 0.1 % of it lies beyond 32 frames."""
EXACT_CONTEXT_FRAMES = 112
"""Enough for segments that equal the whole to rounding, in a network of depth 3."""
CROSSFADE_SAMPLES = 2048


def plan_segments(
    network: TwoStageUNet,
    *,
    sample_rate: int,
    segment_s: float = SEGMENT_S,
    context_frames: int = CONTEXT_FRAMES,
) -> SegmentPlan:
    """Return segments of about `segment_s` on the grid of the network, `context_frames` read and dropped on each side.

    The U-Nets halve the frames `depth` times, so a segment must start on a multiple of 2^depth frames (4,096 samples at
    depth 3): elsewhere its frames are paired otherwise than in the whole recording and the joins differ. The context
    is at least two steps of the grid, for deeper networks whose steps are longer.
    """
    hop = network.stft.hop_length
    grid = hop << network.depth
    context = max(context_frames * hop, 2 * grid)
    return SegmentPlan(
        segment_samples=max(1, round(segment_s * sample_rate / grid)) * grid,
        context_samples=context,
        crossfade_samples=CROSSFADE_SAMPLES,
        grid_samples=grid,
    )


class TwoStageUNetEnhancer(WaveformEngine[TwoStageUNet]):
    """Denoising of film and archive sound by one two-stage U-Net; deterministic, so the seed has no effect.

    Channels are processed one by one.
    """

    def __init__(
        self,
        network: TwoStageUNet,
        card: CheckpointCard,
        *,
        segment_s: float = SEGMENT_S,
        context_frames: int = CONTEXT_FRAMES,
        device: str = "cpu",
    ) -> None:
        segment = plan_segments(
            network, sample_rate=card.sample_rate, segment_s=segment_s, context_frames=context_frames
        )
        super().__init__(network, card, segment=segment, keeps_music=True, device=device)

    @classmethod
    def from_checkpoint(cls, path: Path, *, device: str = "cpu") -> TwoStageUNetEnhancer:
        """Return the engine of the weights at `path`; ModelUnavailable when they are absent or do not verify."""
        card, network = load_model(path, architecture=ARCHITECTURE, build=TwoStageUNet)
        return cls(network, card, device=device)

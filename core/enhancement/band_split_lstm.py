"""The band-split LSTM model behind the `Enhancer` protocol."""

from __future__ import annotations

from pathlib import Path

from core.enhancement.checkpoint_engine import WaveformEngine
from core.enhancement.protocol import SegmentPlan
from core.models.band_split_lstm import BandSplitLstm
from core.models.checkpoints import CheckpointCard, load_model

ARCHITECTURE = "band-split-lstm"
SEGMENT_S = 60.0
CONTEXT_S = 4.0
CROSSFADE_S = 0.256


def plan_segments(network: BandSplitLstm, *, sample_rate: int) -> SegmentPlan:
    """Return segments of a minute on the grid of STFT frames, with 4 s of context and a cross-fade of 256 ms.

    The LSTMs over time have no fixed reach: at a segment's ends they start from zeros instead of from what lies beyond,
    and some of what they lack fades only over many seconds. So segments come near one pass over the whole, not to its
    samples; the cross-fade hides the step. The model card states how near. A minute with its context takes 220 MB.
    """
    hop = network.stft.hop_length

    def on_grid(seconds: float) -> int:
        return round(seconds * sample_rate / hop) * hop

    return SegmentPlan(
        segment_samples=on_grid(SEGMENT_S),
        context_samples=on_grid(CONTEXT_S),
        crossfade_samples=on_grid(CROSSFADE_S),
        grid_samples=hop,
    )


class BandSplitLstmEnhancer(WaveformEngine[BandSplitLstm]):
    """Speech enhancement by a band-split LSTM; deterministic, so the seed has no effect."""

    def __init__(
        self, network: BandSplitLstm, card: CheckpointCard, *, device: str = "cpu", is_fast: bool = False
    ) -> None:
        segment = plan_segments(network, sample_rate=card.sample_rate)
        super().__init__(network, card, segment=segment, shrinks_speech=True, device=device, is_fast=is_fast)

    @classmethod
    def from_checkpoint(cls, path: Path, *, device: str = "cpu", is_fast: bool = False) -> BandSplitLstmEnhancer:
        """Return the engine of the weights at `path`; ModelUnavailable when they are absent or do not verify."""
        card, network = load_model(path, architecture=ARCHITECTURE, build=BandSplitLstm)
        return cls(network, card, device=device, is_fast=is_fast)

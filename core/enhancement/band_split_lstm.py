"""The band-split LSTM model behind the `Enhancer` protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from core.enhancement.checkpoint_engine import check_mono_input, describe_checkpoint, gain_to_reference
from core.enhancement.protocol import (
    EnhancerInfo,
    FloatArray,
    ProgressCallback,
    SegmentPlan,
    SignalStatistics,
)
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


class BandSplitLstmEnhancer:
    """Speech enhancement by a band-split LSTM; deterministic, so the seed has no effect.

    The recording is brought to the network's reference level and back, by one gain for all segments. Segments are the
    bound on memory: the network runs over each in one pass.
    """

    def __init__(self, network: BandSplitLstm, card: CheckpointCard, *, device: str = "cpu") -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._reference_level_db = card.reference_level_db
        self._info = describe_checkpoint(card, segment=plan_segments(network, sample_rate=card.sample_rate))

    @classmethod
    def from_checkpoint(cls, path: Path, *, device: str = "cpu") -> BandSplitLstmEnhancer:
        """Return the engine of the weights at `path`; ModelUnavailable when they are absent or do not verify."""
        card, network = load_model(path, architecture=ARCHITECTURE, build=BandSplitLstm)
        return cls(network, card, device=device)

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
        """Return the clean estimate (1, 1, T) of noisy speech `wav` (1, T) at 16 kHz.

        `statistics.std` sets the level. `ValueError` for another rate or channel count. Silence gives exact silence.
        """
        check_mono_input(wav, sample_rate, self._info)
        estimate = np.zeros((1, *wav.shape), dtype=np.float32)
        if wav.any():
            gain = gain_to_reference(statistics, self._reference_level_db)
            with torch.inference_mode():
                noisy = torch.from_numpy(np.ascontiguousarray(wav)).to(self._device)
                estimate[0] = (self._network(noisy * gain) / gain).cpu().numpy()
        if on_progress is not None:
            on_progress(1.0)
        return estimate

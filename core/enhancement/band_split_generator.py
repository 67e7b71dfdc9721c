"""The band-split generator behind the `Enhancer` protocol."""

from __future__ import annotations

from pathlib import Path

from core.enhancement.band_split_lstm import plan_segments
from core.enhancement.checkpoint_engine import WaveformEngine
from core.models.band_split_generator import ARCHITECTURE as ARCHITECTURE
from core.models.band_split_generator import BandSplitGenerator
from core.models.checkpoints import CheckpointCard, load_model


class BandSplitGeneratorEnhancer(WaveformEngine[BandSplitGenerator]):
    """Generative enhancement of speech; deterministic, so the seed has no effect.

    The output can say other words than the recording: run it inside a DriftGuard, as `load_enhancer` does. Its segments
    are those of its denoiser.
    """

    def __init__(self, network: BandSplitGenerator, card: CheckpointCard, *, device: str = "cpu") -> None:
        segment = plan_segments(network.denoiser, sample_rate=card.sample_rate)
        super().__init__(network, card, segment=segment, device=device)

    @classmethod
    def from_checkpoint(cls, path: Path, *, device: str = "cpu") -> BandSplitGeneratorEnhancer:
        """Return the engine of the weights at `path`; ModelUnavailable when they are absent or do not verify."""
        card, network = load_model(path, architecture=ARCHITECTURE, build=BandSplitGenerator)
        return cls(network, card, device=device)

"""What the engines of our own checkpoints share: what they say of themselves, their level, the input they take."""

from __future__ import annotations

from typing import Generic

import numpy as np
import torch
from torch import Tensor

from core.enhancement.protocol import EnhancerInfo, FloatArray, ProgressCallback, SegmentPlan, SignalStatistics
from core.models.checkpoints import CheckpointCard, Network
from core.models.precision import bfloat16_products


def describe_checkpoint(
    card: CheckpointCard,
    *,
    segment: SegmentPlan,
    shrinks_speech: bool = False,
    keeps_music: bool = False,
    is_fast: bool = False,
) -> EnhancerInfo:
    """Return what a mono denoiser of the checkpoint states about itself."""
    return EnhancerInfo(
        name=card.name,
        sample_rate=card.sample_rate,
        channels=1,
        stems=("enhanced",),
        segment=segment,
        weights_sha256=card.weights_sha256 or None,
        licence=card.licence,
        shrinks_speech=shrinks_speech,
        keeps_music=keeps_music,
        is_fast=is_fast,
    )


def gain_to_reference(statistics: SignalStatistics, level_db: float | None) -> float:
    """Return the gain that brings the whole recording to an RMS level of `level_db` dBFS.

    1 when the network takes any level (None) or the recording is silent. Being of the whole recording, the gain is the
    same in every segment.
    """
    if level_db is None or statistics.std <= 0:
        return 1.0
    return float(10 ** (level_db / 20) / statistics.std)


def check_mono_input(wav: FloatArray, sample_rate: int, info: EnhancerInfo) -> None:
    """Raise ValueError unless `wav` is (1, T) at the engine's rate."""
    if wav.ndim != 2 or wav.shape[0] != 1 or sample_rate != info.sample_rate:
        raise ValueError(f"{info.name} takes (1, T) at {info.sample_rate} Hz, got {wav.shape} at {sample_rate} Hz")


class WaveformEngine(Generic[Network]):
    """A network from wave to wave, (B, T) -> (B, T), behind the `Enhancer` protocol; mono, deterministic.

    The recording is brought to the network's reference level and back, by one gain for all segments, where the
    checkpoint names a level. The network runs over each segment in one pass, unless the engine says otherwise: segments
    are the bound on memory. `is_fast` runs it in bfloat16.
    """

    def __init__(
        self,
        network: Network,
        card: CheckpointCard,
        *,
        segment: SegmentPlan,
        shrinks_speech: bool = False,
        keeps_music: bool = False,
        device: str = "cpu",
        is_fast: bool = False,
    ) -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._reference_level_db = card.reference_level_db
        self._info = describe_checkpoint(
            card, segment=segment, shrinks_speech=shrinks_speech, keeps_music=keeps_music, is_fast=is_fast
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
        """Return the estimate (1, 1, T) of `wav` (1, T) at the network's rate; the seed has no effect.

        `statistics.std` sets the level. ValueError for another rate or channel count. A silent stretch gives exact
        silence, which a network with biases would not.
        """
        check_mono_input(wav, sample_rate, self._info)
        estimate = np.zeros((1, *wav.shape), dtype=np.float32)
        if wav.any():
            gain = gain_to_reference(statistics, self._reference_level_db)
            with torch.inference_mode(), bfloat16_products(self._device, enabled=self._info.is_fast):
                noisy = torch.from_numpy(np.ascontiguousarray(wav)).to(self._device)
                estimate[0] = (self._run(noisy * gain, on_progress) / gain).cpu().numpy()
        if on_progress is not None:
            on_progress(1.0)
        return estimate

    def _run(self, noisy: Tensor, on_progress: ProgressCallback | None) -> Tensor:
        """Return the network's output for `noisy` (1, T). An engine that can take a segment in parts overrides it."""
        estimate: Tensor = self._network(noisy)
        return estimate

"""The causal Demucs speech models (dns48, dns64, master64) behind the `Enhancer` protocol."""

from __future__ import annotations

import numpy as np
import torch

from core.enhancement.protocol import (
    EnhancerInfo,
    FloatArray,
    ProgressCallback,
    SegmentPlan,
    SignalStatistics,
)
from core.enhancement.reference_level import check_mono_input
from core.models.demucs_causal import DemucsCausal

SEGMENT_S = 20.0
CONTEXT_S = 4.096
CROSSFADE_S = 0.020


def plan_segments(network: DemucsCausal) -> SegmentPlan:
    """Return segments of 20 s on the network's step grid, with 4.096 s of context and a cross-fade of 20 ms.

    Memory sets the segment: the network takes about 17 MB per second of audio. The LSTM sets the context: before a
    segment it starts from zeros instead of from the past, and what it lacks fades over seconds. The convolutions look
    405 samples ahead and the resampling filters 56 more, which the same context covers on the right.
    """
    step = network.total_stride
    sample_rate = network.config.sample_rate
    return SegmentPlan(
        segment_samples=_round_up(SEGMENT_S * sample_rate, step),
        context_samples=_round_up(CONTEXT_S * sample_rate, step),
        crossfade_samples=round(CROSSFADE_S * sample_rate),
        grid_samples=step,
    )


class DnsEnhancer:
    """Speech enhancement by one causal Demucs network; deterministic, so the seed has no effect.

    Every segment is scaled by the recording's standard deviation, so that segments equal the whole recording's result
    up to the LSTM's memory.
    """

    def __init__(
        self,
        network: DemucsCausal,
        *,
        name: str,
        licence: str,
        weights_sha256: str | None = None,
        device: str = "cpu",
    ) -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._info = EnhancerInfo(
            name=name,
            sample_rate=network.config.sample_rate,
            channels=1,
            stems=("enhanced",),
            segment=plan_segments(network),
            weights_sha256=weights_sha256,
            licence=licence,
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
        """Return the clean estimate (1, 1, T) of noisy speech `wav` (1, T) at 16 kHz.

        `statistics.std` sets the scale. `ValueError` for another rate or channel count. Silence gives exact silence.
        """
        check_mono_input(wav, sample_rate, self._info)
        estimate = np.zeros((1, *wav.shape), dtype=np.float32)
        if wav.any():
            with torch.inference_mode():
                noisy = torch.from_numpy(np.ascontiguousarray(wav)).to(self._device)
                estimate[0, 0] = self._network(noisy, std=statistics.std)[0, 0].cpu().numpy()
        if on_progress is not None:
            on_progress(1.0)
        return estimate


def _round_up(samples: float, step: int) -> int:
    return -(-round(samples) // step) * step

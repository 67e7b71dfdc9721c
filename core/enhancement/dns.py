"""The causal Demucs speech models (dns48, dns64, master64) behind the `Enhancer` protocol."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.enhancement.checkpoint_engine import check_mono_input
from core.enhancement.protocol import (
    EnhancerInfo,
    FloatArray,
    ProgressCallback,
    SegmentPlan,
    SignalStatistics,
)
from core.models.demucs_causal import DemucsCausal
from core.models.demucs_stream import DemucsStream

SEGMENT_S = 600.0
CONTEXT_S = 8.192
CROSSFADE_S = 0.020
BLOCK_S = 8.0
"""What the network takes at once: 60 MB more than with 4 s, and still a chance to report progress and to stop."""
MIN_BLOCK_S = 0.25


def plan_segments(network: DemucsCausal) -> SegmentPlan:
    """Return segments of 10 min on the network's step grid, with 8.192 s of context and a cross-fade of 20 ms.

    Within a segment the network runs block by block with carried state, so the length costs only the arrays themselves,
    and a recording of up to 10 min is not cut at all. The LSTM sets the context: before a segment it starts from zeros
    instead of from the past, and what it lacks fades over seconds. The convolutions look 405 samples ahead and the
    resampling filters some more, which the same context covers on the right.
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
    up to the LSTM's memory. ValueError for a network that is not causal.
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
        if not network.config.causal:
            raise ValueError(f"{name} is not causal and cannot run block by block")
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._block_s = BLOCK_S
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

    def halve_batch(self) -> bool:
        """Take blocks of half the length from now on; False when they are short already. Results are equal."""
        if self._block_s / 2 < MIN_BLOCK_S:
            return False
        self._block_s /= 2
        return True

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
        if not wav.any():
            return estimate
        samples = wav.shape[1]
        block_samples = round(self._block_s * sample_rate)
        stream = DemucsStream(self._network, std=statistics.std)
        position = 0
        for start in range(0, samples, block_samples):
            # A copy, because PyTorch warns of memory that it may not write, as that of a mapped file.
            block = np.array(wav[np.newaxis, :, start : start + block_samples], dtype=np.float32)
            position = _append(estimate, position, stream.push(torch.from_numpy(block).to(self._device)))
            if on_progress is not None:
                on_progress(min(start + block_samples, samples) / samples)
        _append(estimate, position, stream.finish())
        return estimate


def _append(estimate: FloatArray, position: int, block: Tensor) -> int:
    stop = position + block.shape[-1]
    estimate[..., position:stop] = block.cpu().numpy()
    return stop


def _round_up(samples: float, step: int) -> int:
    return -(-round(samples) // step) * step

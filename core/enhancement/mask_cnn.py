"""The CNN mask model behind the `Enhancer` protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.enhancement.checkpoint_engine import check_mono_input, describe_checkpoint, gain_to_reference
from core.enhancement.protocol import (
    EnhancerInfo,
    FloatArray,
    ProgressCallback,
    SegmentPlan,
    SignalStatistics,
)
from core.models.checkpoints import CheckpointCard, load_model
from core.models.mask_cnn import MaskCnn

ARCHITECTURE = "mask-cnn"
SEGMENT_S = 30.0
CROSSFADE_FRAMES = 2
BLOCK_FRAMES = 512
"""Frames that the network takes at once: 34 MB for each of its widest layers."""


def plan_segments(network: MaskCnn, *, sample_rate: int) -> SegmentPlan:
    """Return segments of 30 s on the grid of STFT frames, with exactly the context that the output depends on.

    An output sample is the sum of frames centred at most n_fft / 2 away. Their masks see `context_frames` further
    frames on each side, each of which spans n_fft / 2 samples beyond its centre. So the reach is
    n_fft + context_frames * hop = 512 + 5 * 128 = 1152 samples, to which the cross-fade of 256 is added because it lies
    inside the context. Segments therefore equal the whole recording's result up to rounding.
    """
    hop = network.stft.hop_length
    crossfade = CROSSFADE_FRAMES * hop
    return SegmentPlan(
        segment_samples=round(SEGMENT_S * sample_rate / hop) * hop,
        context_samples=network.stft.n_fft + network.context_frames * hop + crossfade,
        crossfade_samples=crossfade,
        grid_samples=hop,
    )


class MaskCnnEnhancer:
    """Speech enhancement by a CNN mask; deterministic, so the seed has no effect.

    The recording is brought to the network's reference level and back, by one gain for all segments.
    """

    def __init__(self, network: MaskCnn, card: CheckpointCard, *, device: str = "cpu") -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)
        self._reference_level_db = card.reference_level_db
        self._info = describe_checkpoint(card, segment=plan_segments(network, sample_rate=card.sample_rate))

    @classmethod
    def from_checkpoint(cls, path: Path, *, device: str = "cpu") -> MaskCnnEnhancer:
        """Return the engine of the weights at `path`; ModelUnavailable when they are absent or do not verify."""
        card, network = load_model(path, architecture=ARCHITECTURE, build=MaskCnn)
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
        if wav.shape[1] == 0:
            return wav[np.newaxis].copy()
        gain = gain_to_reference(statistics, self._reference_level_db)
        with torch.inference_mode():
            noisy = torch.from_numpy(np.ascontiguousarray(wav)).to(self._device)
            spectrogram = self._network.stft(noisy)
            spectrogram *= self._mask(spectrogram.abs() * gain, on_progress)
            estimate = self._network.stft.inverse(spectrogram, length=wav.shape[1])
        return estimate.cpu().numpy()[np.newaxis]

    def _mask(self, magnitude: Tensor, on_progress: ProgressCallback | None) -> Tensor:
        """Return the mask of `magnitude` (1, F, N), computed in blocks of frames with the context they depend on."""
        context = self._network.context_frames
        frames = magnitude.shape[-1]
        mask = torch.empty_like(magnitude)
        for start in range(0, frames, BLOCK_FRAMES):
            stop = min(start + BLOCK_FRAMES, frames)
            before = min(context, start)
            block = self._network.mask(magnitude[..., start - before : stop + context])
            mask[..., start:stop] = block[..., before : before + stop - start]
            if on_progress is not None:
                on_progress(stop / frames)
        return mask

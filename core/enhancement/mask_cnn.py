"""The CNN mask model behind the `Enhancer` protocol."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from core.enhancement.checkpoint_engine import WaveformEngine
from core.enhancement.protocol import ProgressCallback, SegmentPlan
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


class MaskCnnEnhancer(WaveformEngine[MaskCnn]):
    """Speech enhancement by a CNN mask, in blocks of frames; deterministic, so the seed has no effect."""

    def __init__(self, network: MaskCnn, card: CheckpointCard, *, device: str = "cpu") -> None:
        segment = plan_segments(network, sample_rate=card.sample_rate)
        super().__init__(network, card, segment=segment, shrinks_speech=True, device=device)

    @classmethod
    def from_checkpoint(cls, path: Path, *, device: str = "cpu") -> MaskCnnEnhancer:
        """Return the engine of the weights at `path`; ModelUnavailable when they are absent or do not verify."""
        card, network = load_model(path, architecture=ARCHITECTURE, build=MaskCnn)
        return cls(network, card, device=device)

    def _run(self, noisy: Tensor, on_progress: ProgressCallback | None) -> Tensor:
        """Return the network's output for `noisy` (1, T), its masks computed in blocks with the context they see."""
        network = self._network
        context = network.context_frames
        spectrogram = network.stft(noisy)
        magnitude = spectrogram.abs()
        frames = magnitude.shape[-1]
        for start in range(0, frames, BLOCK_FRAMES):
            stop = min(start + BLOCK_FRAMES, frames)
            before = min(context, start)
            mask = network.mask(magnitude[..., start - before : stop + context])
            spectrogram[..., start:stop] *= mask[..., before : before + stop - start]
            if on_progress is not None and stop < frames:
                on_progress(stop / frames)
        return network.stft.inverse(spectrogram, length=noisy.shape[-1])

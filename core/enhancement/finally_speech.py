"""FINALLY behind the `Enhancer` protocol: generative enhancement of speech, 48 kHz in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from core.enhancement.checkpoint_engine import check_mono_input, describe_checkpoint
from core.enhancement.protocol import (
    EnhancerInfo,
    FloatArray,
    ProgressCallback,
    SegmentPlan,
    SignalStatistics,
)
from core.enhancement.resampled import resampled
from core.errors import ModelUnavailable
from core.models.checkpoints import CheckpointCard, load_model
from core.models.finally_speech.features import load_features
from core.models.finally_speech.generator import LENGTH_MULTIPLE, SAMPLE_RATE, FinallyGenerator, SpeechFeatures
from core.models.finally_speech.released import ARCHITECTURE

SEGMENT_SAMPLES = 131_072  # 8.192 s at 16 kHz; what a segment costs grows with the square of it
CONTEXT_SAMPLES = 8_192  # 0.512 s on each side, half of it cross-faded: enough for a word's beginning
CROSSFADE_SAMPLES = 8_192
SILENCE_DB = -70.0
"""Peak of a segment beside that of the recording, below which nothing is generated: there is nothing to be said."""


class FinallyEnhancer:
    """Generative enhancement by one FINALLY generator; deterministic, so the seed has no effect.

    Works at the generator's output rate; what it hears is resampled to 16 kHz. The recording's peak is brought to 1
    for all segments and back. The output can say other words than the recording: run it inside a DriftGuard.
    """

    def __init__(
        self, network: FinallyGenerator, card: CheckpointCard, *, features: SpeechFeatures, device: str = "cpu"
    ) -> None:
        if features.width != network.feature_width:
            raise ModelUnavailable(
                f"The model {card.name!r} takes features of width {network.feature_width}, those given have "
                f"{features.width}"
            )
        self._network = network.to(device).eval()
        self._features = features.to(device) if isinstance(features, nn.Module) else features
        self._device = torch.device(device)
        factor = card.sample_rate // SAMPLE_RATE
        self._info = describe_checkpoint(
            card,
            segment=SegmentPlan(
                segment_samples=factor * SEGMENT_SAMPLES,
                context_samples=factor * CONTEXT_SAMPLES,
                crossfade_samples=factor * CROSSFADE_SAMPLES,
                grid_samples=factor * LENGTH_MULTIPLE,
            ),
        )

    @classmethod
    def from_checkpoint(cls, path: Path, *, models_dir: Path, device: str = "cpu") -> FinallyEnhancer:
        """Return the engine of the weights at `path`, with WavLM from the models folder.

        ModelUnavailable when either is absent or does not verify.
        """
        card, network = load_model(path, architecture=ARCHITECTURE, build=FinallyGenerator.from_arguments)
        return cls(network, card, features=load_features(models_dir), device=device)

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
        """Return the enhanced estimate (1, 1, T) of `wav` (1, T) at the generator's output rate.

        `statistics.peak` sets the level. ValueError for another rate or channel count. A silent segment gives exact
        silence, for which a generator might make up words.
        """
        check_mono_input(wav, sample_rate, self._info)
        estimate = np.zeros((1, *wav.shape), dtype=np.float32)
        if np.abs(wav).max(initial=0.0) > statistics.peak * 10 ** (SILENCE_DB / 20):
            heard = resampled(wav, sample_rate, output_rate=SAMPLE_RATE)
            with torch.inference_mode():
                noisy = torch.from_numpy(heard / np.float32(statistics.peak)).to(self._device).clamp(-1, 1)
                output = self._run(noisy)[:, : wav.shape[-1]]
                estimate[0] = (output * statistics.peak).cpu().numpy()
        if on_progress is not None:
            on_progress(1.0)
        return estimate

    def _run(self, wav: Tensor) -> Tensor:
        """Return the output (1, T') of `wav` (1, T), T' being the padded length at the output rate."""
        missing = -wav.shape[-1] % LENGTH_MULTIPLE
        padded = nn.functional.pad(wav, (0, missing))
        output: Tensor = self._network(padded.unsqueeze(1), self._features(padded)).squeeze(1)
        return output

"""A five-layer convolutional network that masks the magnitude spectrogram of noisy speech."""

from __future__ import annotations

from torch import Tensor, nn

from core.models.stft import Stft


class MaskCnn(nn.Module):
    """Magnitude mask of a small CNN: 74,881 parameters, 16 kHz, +-5 frames (40 ms) of context.

    3 x 3 convolutions 1-32-64-64-32-1, batch normalisation and GELU after all but the last, a sigmoid at the end. The
    mask in (0, 1) scales the noisy magnitude; the noisy phase is kept. No layer fixes the number of frames, so the
    network runs on blocks of any length. It is not scale invariant: in evaluation batch normalisation uses running
    statistics, so the caller brings the signal to the level of training.

    `log_magnitude` feeds log(1 + feature_gain * magnitude) to the first layer, else the magnitude itself; the mask
    multiplies the linear magnitude either way. `feature_gain` says where the logarithm begins to bend: with 1, weak
    bins of a signal below full scale stay in its linear part and cannot be told apart.
    """

    def __init__(
        self,
        *,
        n_fft: int = 512,
        hop_length: int = 128,
        channels: tuple[int, ...] = (32, 64, 64, 32),
        log_magnitude: bool = True,
        feature_gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.log_magnitude = log_magnitude
        self.feature_gain = feature_gain
        self.context_frames = len(channels) + 1
        self.stft = Stft(n_fft=n_fft, hop_length=hop_length)
        layers: list[nn.Module] = []
        inputs = 1
        for outputs in channels:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.GELU()]
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 3, padding=1), nn.Sigmoid())

    def mask(self, magnitude: Tensor) -> Tensor:
        """Return the mask in (0, 1) of `magnitude` (B, F, N), of the same shape."""
        features = (self.feature_gain * magnitude).log1p() if self.log_magnitude else magnitude
        mask: Tensor = self.layers(features.unsqueeze(1))
        return mask.squeeze(1)

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the enhanced waveform (B, T) of `noisy` (B, T); zeros give exact zeros."""
        spectrogram = self.stft(noisy)
        mask = self.mask(spectrogram.abs())
        return self.stft.inverse(spectrogram * mask.float(), length=noisy.shape[-1])

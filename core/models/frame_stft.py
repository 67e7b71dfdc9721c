"""Short-time Fourier transform pair of the two-stage U-Net: periodic Hamming window, frames from sample 0, no padding.

The spectrogram is real: (B, 2, N, F), real and imaginary parts as channels, frames before bins.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FrameStft(nn.Module):
    """STFT without centring or normalisation, and its inverse by overlap-add under the canonical dual window.

    The window is a buffer, so it follows the module's device and stays out of checkpoints. `edge_samples` at both ends
    are covered by fewer frames than the rest, so the inverse fades them; a caller pads or discards them.
    """

    window: Tensor
    dual_window: Tensor

    def __init__(self, *, n_fft: int = 2048, hop_length: int = 512) -> None:
        super().__init__()
        if hop_length < 1 or n_fft % hop_length or n_fft < 4 * hop_length:
            # Below four frames a sample the shifted squares of a Hamming window do not sum to a constant.
            raise ValueError(f"hop_length must divide n_fft at least four times, got n_fft {n_fft}, hop {hop_length}")
        self.n_fft = n_fft
        self.hop_length = hop_length
        window = torch.hamming_window(n_fft, periodic=True, dtype=torch.float64)
        self.register_buffer("window", window.float(), persistent=False)
        power = window.square().sum() / hop_length
        self.register_buffer("dual_window", (window / power).float(), persistent=False)

    @property
    def edge_samples(self) -> int:
        """The samples at each end that fewer than n_fft / hop_length frames cover."""
        return self.n_fft - self.hop_length

    def count_frames(self, samples: int) -> int:
        """Return the number of whole frames in `samples`."""
        return max(0, (samples - self.n_fft) // self.hop_length + 1)

    def forward(self, wav: Tensor) -> Tensor:
        """Return the spectrogram (B, 2, N, F) of `wav` (B, T), T >= n_fft; what fills no frame at the end is left out.

        N = (T - n_fft) // hop_length + 1, F = n_fft / 2 + 1.
        """
        spectrogram = torch.stft(
            wav, self.n_fft, self.hop_length, window=self.window, center=False, return_complex=True
        )
        return torch.view_as_real(spectrogram).permute(0, 3, 2, 1)

    def inverse(self, spectrogram: Tensor) -> Tensor:
        """Return the waveform (B, (N - 1) * hop_length + n_fft) of `spectrogram` (B, 2, N, F)."""
        frames = torch.fft.irfft(torch.complex(spectrogram[:, 0], spectrogram[:, 1]), self.n_fft)  # (B, N, n_fft)
        samples = (frames.shape[1] - 1) * self.hop_length + self.n_fft
        wav = nn.functional.fold(
            (frames * self.dual_window).transpose(1, 2),
            output_size=(1, samples),
            kernel_size=(1, self.n_fft),
            stride=(1, self.hop_length),
        )
        return wav.flatten(1)

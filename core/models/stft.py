"""Centred short-time Fourier transform pair with a periodic Hann window, as the spectral networks use it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Stft(nn.Module):
    """STFT and its inverse; the window is a buffer, so it follows the module's device and stays out of checkpoints.

    Frames are centred on multiples of `hop_length` and the signal is reflected at both ends (the convention of
    torch.stft and librosa), at its end so far that the last frame is centred on it or behind it: samples that only a
    window's last few weights reach would be divided by next to nothing, and whatever a network changed there would
    become a click. A signal too short to be reflected is extended with zeros; the inverse cuts them off again.
    """

    window: Tensor

    def __init__(self, *, n_fft: int = 512, hop_length: int = 128) -> None:
        super().__init__()
        if hop_length < 1 or n_fft % hop_length or n_fft < 2 * hop_length:
            raise ValueError(f"hop_length must divide n_fft at least twice, got n_fft {n_fft}, hop {hop_length}")
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """Return the complex spectrogram (B, F, N) of `wav` (B, T), F = n_fft / 2 + 1, N = ceil(T / hop_length) + 1."""
        half = self.n_fft // 2
        shortest = half + self.hop_length
        if wav.shape[-1] < shortest:
            wav = nn.functional.pad(wav, (0, shortest - wav.shape[-1]))
        wav = nn.functional.pad(wav, (half, half + -wav.shape[-1] % self.hop_length), mode="reflect")
        return torch.stft(wav, self.n_fft, self.hop_length, window=self.window, center=False, return_complex=True)

    def inverse(self, spectrogram: Tensor, *, length: int) -> Tensor:
        """Return the waveform (B, length) of `spectrogram` (B, F, N)."""
        padded = max(length, self.n_fft // 2 + 1)
        wav = torch.istft(spectrogram, self.n_fft, self.hop_length, window=self.window, center=True, length=padded)
        return wav[..., :length]

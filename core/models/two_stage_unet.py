"""The two-stage U-Net for historical recordings: complex spectrogram in, complex spectrogram out.

Moliner and Valimaki, "A two-stage U-Net for high-fidelity denoising of historical recordings", ICASSP 2022. Mono,
44.1 kHz. The layers are those of the authors' code where it differs from the paper: 3 x 3 kernels in the supervised
attention module, no skip from the input to the output of stage 2.

Features are (B, C, N, F), frames before bins. Blocks come first, then the U-Net, then the model. Parameters are
registered in the order of the authors' layers, which the converter of their checkpoint relies on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.frame_stft import FrameStft

WIDTHS = (32, 64, 64, 128, 128, 256, 512)
"""Channels by level, the finest first; a network of depth d uses the first d + 1."""
PARTS = 2  # real and imaginary
COSINES = 10  # of the frequency encoding
STEM_SIZE = 7
INITIAL_STD = 0.05

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "film": {"depth": 3, "convolutions": 1},
    "original": {"depth": 6, "convolutions": 3},
}
"""Arguments of the film adaptation (1,880,388 parameters) and of the authors' release (71,408,196)."""


def pad_symmetric(features: Tensor, *, kernel_size: int, axes: Sequence[int] = (-2, -1)) -> Tensor:
    """Return `features` mirrored along `axes`, edge values included, for a convolution that keeps the size.

    An even kernel gets its odd value before. ValueError when an axis is shorter than what it is to mirror.
    """
    before = kernel_size // 2
    after = kernel_size - 1 - before
    for axis in axes:
        size = features.shape[axis]
        if size < before:
            raise ValueError(f"a kernel of {kernel_size} mirrors {before} values of an axis of {size}")
        parts = [features.narrow(axis, 0, before).flip(axis), features]
        if after:
            parts.append(features.narrow(axis, size - after, after).flip(axis))
        features = torch.cat(parts, dim=axis)
    return features


class SymmetricConv(nn.Conv2d):
    """Square convolution under symmetric padding: n -> ceil(n / stride) frames and bins."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel_size, stride=stride)
        self._size = kernel_size

    def forward(self, features: Tensor) -> Tensor:
        if self._size == 3:  # mirroring one value with its edge is to replicate it: one copy instead of two
            features = F.pad(features, (1, 1, 1, 1), mode="replicate")
        elif self._size > 1:
            features = pad_symmetric(features, kernel_size=self._size)
        return super().forward(features)


class DenseBlock(nn.ModuleList):
    """3 x 3 convolutions with ELU; the first reads the input, each further one what the last made and all before it.

    (B, inputs, N, F) -> (B, width, N, F), the output of the last convolution alone.
    """

    def __init__(self, inputs: int, width: int, *, convolutions: int) -> None:
        super().__init__(SymmetricConv(inputs + number * width, width, 3) for number in range(convolutions))

    def forward(self, features: Tensor) -> Tensor:
        first, *further = self
        output = F.elu(first(features))
        for layer in further:
            features = torch.cat((output, features), dim=1)
            output = F.elu(layer(features))
        return output


class IntermediateBlock(nn.Module):
    """A dense block and a linear 1 x 1 convolution side by side; their sum, without activation."""

    def __init__(self, inputs: int, width: int, *, convolutions: int) -> None:
        super().__init__()
        self.tfc = DenseBlock(inputs, width, convolutions=convolutions)
        self.proj = SymmetricConv(inputs, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.tfc(features) + self.proj(features)
        return output


class EncoderBlock(nn.Module):
    """(B, inputs, N, F) -> the skip (B, width, N, F) and features (B, deeper, ceil(N / 2), ceil(F / 2))."""

    def __init__(self, inputs: int, width: int, deeper: int, *, convolutions: int) -> None:
        super().__init__()
        self.block = IntermediateBlock(inputs, width, convolutions=convolutions)
        self.down = SymmetricConv(width, deeper, 4, stride=2)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.block(features)
        return skip, F.elu(self.down(skip))


class DecoderBlock(nn.Module):
    """Twice the frames and bins, cut at the end to the skip's, joined with it: (B, deeper) -> (B, width)."""

    def __init__(self, deeper: int, width: int, *, convolutions: int) -> None:
        super().__init__()
        # Its padding of 1 crops the transposed convolution's 2 n + 2 values by one at each side.
        self.up = nn.ConvTranspose2d(deeper, width, 4, stride=2, padding=1)
        self.proj = SymmetricConv(deeper, width, 1) if deeper != width else None
        self.block = IntermediateBlock(2 * width, width, convolutions=convolutions)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        # A 1 x 1 convolution before the repetition of values is the same as after it, for a quarter of the work.
        kept = features if self.proj is None else F.elu(self.proj(features))
        repeated = F.interpolate(kept, scale_factor=2, mode="nearest")
        frames, bins = skip.shape[-2:]
        raised = (F.elu(self.up(features)) + repeated)[..., :frames, :bins]
        output: Tensor = self.block(torch.cat((raised, skip), dim=1))
        return output


class UNet(nn.Module):
    """(B, inputs, N, F) -> (B, widths[0], N, F) through `len(widths) - 1` levels of half the frames and bins."""

    def __init__(self, inputs: int, *, widths: Sequence[int], convolutions: int) -> None:
        super().__init__()
        entries = (inputs, *widths[1:-1])
        levels = range(len(widths) - 1)
        self.encoder = nn.ModuleList(
            EncoderBlock(entries[level], widths[level], widths[level + 1], convolutions=convolutions)
            for level in levels
        )
        self.bottleneck = IntermediateBlock(widths[-1], widths[-1], convolutions=convolutions)
        self.decoder = nn.ModuleList(
            DecoderBlock(widths[level + 1], widths[level], convolutions=convolutions) for level in levels
        )

    def forward(self, features: Tensor) -> Tensor:
        skips = []
        for encoder in self.encoder:
            skip, features = encoder(features)
            skips.append(skip)
        features = self.bottleneck(features)
        for decoder, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            features = decoder(features, skip)
        return features


class Stem(nn.Conv2d):
    """7 x 7 convolution with ELU over real part, imaginary part and the frequency encoding; (B, 2) -> (B, width).

    The encoding gives each bin cos(2^k pi f / 1024), k = 0..9, in every frame alike. So its share of the convolution is
    the same for all frames and is computed once, over bins alone: exact, and a sixth of the work.
    """

    encoding: Tensor

    def __init__(self, width: int, *, bins: int) -> None:
        super().__init__(PARTS + COSINES, width, STEM_SIZE)
        octaves = 2.0 ** torch.arange(COSINES, dtype=torch.float64)
        position = torch.arange(bins, dtype=torch.float64) / (bins - 1)
        encoding = torch.cos(torch.pi * octaves[:, None] * position).float()  # (10, F)
        self.register_buffer("encoding", encoding, persistent=False)

    def forward(self, spectrogram: Tensor) -> Tensor:
        padded = pad_symmetric(spectrogram, kernel_size=STEM_SIZE)
        of_signal = F.conv2d(padded, self.weight[:, :PARTS])
        encoding = pad_symmetric(self.encoding, kernel_size=STEM_SIZE, axes=(-1,))
        of_bins = F.conv1d(encoding[None], self.weight[:, PARTS:].sum(dim=2), self.bias)  # (1, width, F)
        return F.elu(of_signal + of_bins[:, :, None])


class Stage(nn.Module):
    """A stem and a U-Net; `extra` feature channels from the stage before are put behind the stem's."""

    def __init__(self, *, bins: int, widths: Sequence[int], convolutions: int, extra: int = 0) -> None:
        super().__init__()
        self.stem = Stem(widths[0], bins=bins)
        self.unet = UNet(widths[0] + extra, widths=widths, convolutions=convolutions)

    def forward(self, spectrogram: Tensor, extra: Tensor | None = None) -> Tensor:
        features = self.stem(spectrogram)
        output: Tensor = self.unet(features if extra is None else torch.cat((features, extra), dim=1))
        return output


class SupervisedAttention(nn.Module):
    """Turns features of stage 1 into its own estimate (B, 2) and features for stage 2, weighted by that estimate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.feature = SymmetricConv(width, width, 3)
        self.residual = SymmetricConv(width, PARTS, 3)
        self.mask = SymmetricConv(PARTS, width, 3)

    def forward(self, features: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        estimate = self.residual(features) + spectrogram
        weighted = self.feature(features) * torch.sigmoid(self.mask(estimate)) + features
        return estimate, weighted


class TwoStageUNet(nn.Module):
    """Denoiser of two U-Nets in the complex STFT domain (2048 / 512, periodic Hamming); 44.1 kHz mono.

    Stage 1 estimates the denoised spectrogram as a correction of the input; its features, weighted by that estimate,
    go into stage 2 beside the input once more. Stage 2's output is the result. `convolutions` is the number in each
    dense block, `depth` that of the U-Nets' levels. There is no normalisation and no dropout. `scale` multiplies the
    spectrogram before the layers and divides it behind them; the published networks have none.

    A frame's output depends on about 100 frames around it, and on the input's place on the grid of 2^depth frames.
    """

    def __init__(
        self,
        *,
        depth: int = 3,
        convolutions: int = 1,
        widths: Sequence[int] = WIDTHS,
        n_fft: int = 2048,
        hop_length: int = 512,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if not 1 <= depth < len(widths) or convolutions < 1:
            raise ValueError(f"depth {depth} must be 1..{len(widths) - 1}, convolutions {convolutions} at least 1")
        self.stft = FrameStft(n_fft=n_fft, hop_length=hop_length)
        self.depth = depth
        self.convolutions = convolutions
        self.scale = scale
        bins = n_fft // 2 + 1
        used = tuple(widths[: depth + 1])
        self.stage1 = Stage(bins=bins, widths=used, convolutions=convolutions)
        self.head = SymmetricConv(used[0], PARTS, 3)
        self.sam = SupervisedAttention(used[0])
        self.stage2 = Stage(bins=bins, widths=used, convolutions=convolutions, extra=used[0])
        self.apply(_initialise)

    @property
    def min_frames(self) -> int:
        """The fewest frames that the mirrored padding of the stem and of every level can work on."""
        return max(STEM_SIZE // 2, (1 << (self.depth - 1)) + 1)

    def estimates(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spectrograms of stage 1 and stage 2, (B, 2, N, F) each, of `spectrogram` (B, 2, N, F)."""
        scaled = self.scale * spectrogram
        first, weighted = self.sam(self.stage1(scaled), scaled)
        second: Tensor = self.head(self.stage2(scaled, weighted))
        return first / self.scale, second / self.scale

    def forward(self, noisy: Tensor) -> Tensor:
        """Return the denoised waveform (B, T) of `noisy` (B, T), which counts as zero outside.

        n_fft zeros go in front and at least as many behind, so that no sample of the input is faded.
        """
        n_fft, hop_length = self.stft.n_fft, self.stft.hop_length
        samples = noisy.shape[-1]
        frames = max(self.min_frames, -(-samples // hop_length) + n_fft // hop_length)
        total = (frames - 1) * hop_length + n_fft
        spectrogram = self.stft(F.pad(noisy, (n_fft, total - n_fft - samples)))
        _, denoised = self.estimates(spectrogram)
        return self.stft.inverse(denoised.float())[..., n_fft : n_fft + samples]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not module.weight.is_meta:
        nn.init.trunc_normal_(module.weight, std=INITIAL_STD, a=-2 * INITIAL_STD, b=2 * INITIAL_STD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""The causal Demucs block by block: the result of `DemucsCausal.estimate` over the whole, in memory that does not grow.

Each stage keeps what the next block needs of the last one: the resamplers 111 samples, the strided convolutions the
samples that no full window has covered yet, the transposed convolutions the 4 output samples that the next window adds
to, the LSTM its state. Nothing is recomputed, and nothing is approximated. What is kept is copied, because a view of it
would keep the whole block alive.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.demucs_causal import Bottleneck, DemucsCausal, LstmState
from core.models.sinc_resample import ZERO_CROSSINGS, interpolate_half_sample


class Stage(Protocol):
    """One step of the network over (B, C, T) blocks of any length, 0 included."""

    def push(self, x: Tensor) -> Tensor:
        """Take the next samples; return those of the output that they complete."""
        ...

    def finish(self, x: Tensor) -> Tensor:
        """Take the last samples; return all that is left of the output."""
        ...


class Upsampler:
    """`upsample2` in blocks; 56 samples behind."""

    def __init__(self) -> None:
        self._buffer: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        self._buffer = F.pad(x, (ZERO_CROSSINGS - 1, 0)) if self._buffer is None else torch.cat((self._buffer, x), -1)
        between = interpolate_half_sample(self._buffer)
        samples = self._buffer[..., ZERO_CROSSINGS - 1 :][..., : between.shape[-1]]
        self._buffer = self._buffer[..., between.shape[-1] :].clone()
        return torch.stack((samples, between), dim=-1).flatten(-2)

    def finish(self, x: Tensor) -> Tensor:
        return self.push(F.pad(x, (0, ZERO_CROSSINGS)))


class Downsampler:
    """`downsample2` in blocks; 55 output samples behind."""

    def __init__(self) -> None:
        self._buffer: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        self._buffer = F.pad(x, (2 * ZERO_CROSSINGS, 0)) if self._buffer is None else torch.cat((self._buffer, x), -1)
        pairs = self._buffer.shape[-1] // 2
        even, odd = self._buffer[..., : 2 * pairs : 2], self._buffer[..., 1 : 2 * pairs : 2]
        shifted = interpolate_half_sample(odd)
        self._buffer = self._buffer[..., 2 * shifted.shape[-1] :].clone()
        return 0.5 * (even[..., ZERO_CROSSINGS:][..., : shifted.shape[-1]] + shifted)

    def finish(self, x: Tensor) -> Tensor:
        done = self.push(x)
        unpaired = 0 if self._buffer is None else self._buffer.shape[-1] % 2
        silence = F.pad(x[..., :0], (0, unpaired + 2 * (ZERO_CROSSINGS - 1)))
        return torch.cat((done, self.push(silence)), -1)


class EncoderStage:
    """One encoder level; also queues its output for the skip connection."""

    def __init__(self, block: nn.Sequential, skips: SkipQueue) -> None:
        convolution = cast("nn.Conv1d", block[0])
        self._block = block
        self._channels = convolution.out_channels
        (self._kernel_size,), (self._stride,) = convolution.kernel_size, convolution.stride
        self._skips = skips
        self._buffer: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        buffer = x if self._buffer is None else torch.cat((self._buffer, x), -1)
        windows = max(0, (buffer.shape[-1] - self._kernel_size) // self._stride + 1)
        self._buffer = buffer[..., windows * self._stride :].clone()
        if windows == 0:
            return x.new_zeros(x.shape[0], self._channels, 0)
        y: Tensor = self._block(buffer[..., : (windows - 1) * self._stride + self._kernel_size])
        self._skips.put(y)
        return y

    def finish(self, x: Tensor) -> Tensor:
        return self.push(x)


class BottleneckStage:
    """The LSTM, going on from its state."""

    def __init__(self, bottleneck: Bottleneck) -> None:
        self._bottleneck = bottleneck
        self._state: LstmState | None = None

    def push(self, x: Tensor) -> Tensor:
        if x.shape[-1] == 0:
            return x
        y: Tensor
        y, self._state = self._bottleneck(x, self._state)
        return y

    def finish(self, x: Tensor) -> Tensor:
        return self.push(x)


class DecoderStage:
    """One decoder level: the transposed convolution's windows overlap, so its last samples wait for the next block."""

    def __init__(self, block: nn.Sequential, skips: SkipQueue) -> None:
        transposed = cast("nn.ConvTranspose1d", block[2])
        self._features = block[:2]
        self._transposed = transposed
        self._activation = block[3:]
        (self._stride,) = transposed.stride
        self._skips = skips
        self._tail: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        windows = x.shape[-1]
        if windows == 0:
            return x.new_zeros(x.shape[0], self._transposed.out_channels, 0)
        features = self._features(x + self._skips.take(windows))
        sums = F.conv_transpose1d(features, self._transposed.weight, stride=self._stride)
        if self._tail is not None:
            sums[..., : self._tail.shape[-1]] += self._tail
        self._tail = sums[..., windows * self._stride :].clone()
        return self._complete(sums[..., : windows * self._stride])

    def finish(self, x: Tensor) -> Tensor:
        done = self.push(x)
        return done if self._tail is None else torch.cat((done, self._complete(self._tail)), -1)

    def _complete(self, sums: Tensor) -> Tensor:
        bias = self._transposed.bias
        y: Tensor = self._activation(sums if bias is None else sums + bias[:, None])
        return y


class SkipQueue:
    """What an encoder level has put out and its decoder level has not yet used."""

    def __init__(self) -> None:
        self._waiting: Tensor | None = None

    def put(self, x: Tensor) -> None:
        """Append (B, C, T)."""
        self._waiting = x if self._waiting is None else torch.cat((self._waiting, x), -1)

    def take(self, samples: int) -> Tensor:
        """Remove and return the oldest (B, C, samples)."""
        if self._waiting is None or self._waiting.shape[-1] < samples:
            raise RuntimeError("a decoder level ran ahead of its encoder level")
        taken = self._waiting[..., :samples]
        self._waiting = self._waiting[..., samples:].clone()
        return taken


class DemucsStream:
    """One pass over one recording: `push` its blocks in order, then `finish`. For inference; gradients are not kept.

    The outputs, put together, have the input's length and alignment; each comes less than 0.1 s later than its input.
    `std` is the recording's standard deviation, as in `DemucsCausal.forward`. ValueError for a network that is not
    causal: its LSTM needs the end of the recording first.
    """

    def __init__(self, network: DemucsCausal, *, std: float) -> None:
        if not network.config.causal:
            raise ValueError("only a causal network can run block by block")
        self._network = network
        self._std = std
        self._received = 0
        self._returned = 0
        self._nothing = next(network.parameters()).new_zeros(1, 1, 0)
        resamplings = network.config.resample.bit_length() - 1
        skips = [SkipQueue() for _ in network.encoder]
        encoder = cast("list[nn.Sequential]", list(network.encoder))
        decoder = cast("list[nn.Sequential]", list(network.decoder))
        self._stages: list[Stage] = [
            *(Upsampler() for _ in range(resamplings)),
            *map(EncoderStage, encoder, skips),
            BottleneckStage(network.lstm),
            *map(DecoderStage, decoder, reversed(skips)),
            *(Downsampler() for _ in range(resamplings)),
        ]

    @torch.inference_mode()
    def push(self, noisy: Tensor) -> Tensor:
        """Take the next samples (B, 1, T) of any length; return the estimate (B, 1, T') that they complete."""
        self._received += noisy.shape[-1]
        self._nothing = noisy[..., :0]
        x = noisy / (self._network.config.floor + self._std)
        for stage in self._stages:
            x = stage.push(x)
        return self._scaled(x)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Return the rest of the estimate (B, 1, T')."""
        padding = self._network.valid_length(self._received) - self._received if self._received else 0
        x = F.pad(self._nothing, (0, padding))
        for stage in self._stages:
            x = stage.finish(x)
        return self._scaled(x)

    def _scaled(self, x: Tensor) -> Tensor:
        """Return the samples times the deviation, without those beyond the end of the input."""
        x = x[..., : self._received - self._returned]
        self._returned += x.shape[-1]
        return x * self._std

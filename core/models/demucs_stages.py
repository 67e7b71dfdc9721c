"""The stages of a causal Demucs block by block, each with what the next block needs of the last one.

The resamplers keep 111 samples, the strided convolutions the samples that no full window has covered yet, the
transposed convolutions the features that still reach into the next block, the LSTM its state. Nothing is recomputed,
and nothing is approximated. What is kept is copied, because a view of it would keep the whole block alive.

Signals are time-major, (B, T, C). A convolution of stride S and kernel size P * S is then P matrix products of the
signal, seen as rows of S * C values, without a copy of its windows; on a CPU that is the fastest that a matrix product
can be, for one channel too, where PyTorch's own convolution reaches a thirtieth of it.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.models.demucs_causal import Bottleneck, LstmState
from core.models.sinc_resample import ZERO_CROSSINGS, interpolate_half_sample


class Stage(Protocol):
    """One step of the network over blocks (B, T, C) of any length, 0 included; the resamplers take (B, C, T)."""

    def push(self, x: Tensor) -> Tensor:
        """Take the next samples, which the stage may overwrite; return those of the output that they complete."""
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


class SkipQueue:
    """What an encoder level has put out and its decoder level has not yet used."""

    def __init__(self) -> None:
        self._waiting: deque[Tensor] = deque()

    def put(self, x: Tensor) -> None:
        """Append (B, T, C)."""
        self._waiting.append(x)

    def add_to(self, x: Tensor) -> None:
        """Remove the oldest samples and add them to `x` (B, T, C), in place."""
        position = 0
        while position < x.shape[1]:
            if not self._waiting:
                raise RuntimeError("a decoder level ran ahead of its encoder level")
            oldest = self._waiting.popleft()
            part = x[:, position : position + oldest.shape[1]]
            part += oldest[:, : part.shape[1]]
            position += part.shape[1]
            if part.shape[1] < oldest.shape[1]:
                self._waiting.appendleft(oldest[:, part.shape[1] :].clone())


class EncoderStage:
    """One encoder level; also queues its output for the skip connection."""

    def __init__(self, block: nn.Sequential, skips: SkipQueue) -> None:
        strided, pointwise = block[0], block[2]
        if not isinstance(strided, nn.Conv1d) or not isinstance(pointwise, nn.Conv1d):
            raise TypeError(f"an encoder level has a strided and a pointwise convolution, got {block}")
        (self._stride,) = strided.stride
        # Weights (Cout, Cin, K) become K / S matrices (S * Cin, Cout).
        self._parts = _split_taps(strided.weight.permute(2, 1, 0), stride=self._stride, dim=0)
        self._bias = _bias_of(strided)
        self._gate = GatedPointwise(pointwise)
        self._skips = skips
        self._rest: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        buffer = x if self._rest is None else torch.cat((self._rest, x), 1)
        rows = buffer.shape[1] // self._stride
        windows = max(0, rows - len(self._parts) + 1)
        self._rest = buffer[:, windows * self._stride :].clone()
        if windows == 0:
            return buffer.new_zeros(buffer.shape[0], 0, self._bias.shape[0])
        by_row = buffer[:, : rows * self._stride].reshape(buffer.shape[0], rows, -1)  # (B, T / S, S * Cin)
        y = _affine(by_row[:, :windows], self._parts[0], self._bias)
        for part, weight in enumerate(self._parts[1:], start=1):
            y.baddbmm_(by_row[:, part : part + windows], weight.expand(y.shape[0], -1, -1))
        y = self._gate(y.relu_())
        self._skips.put(y)
        return y

    def finish(self, x: Tensor) -> Tensor:
        return self.push(x)


class BottleneckStage:
    """The LSTM, going on from its state."""

    def __init__(self, bottleneck: Bottleneck) -> None:
        self._lstm = bottleneck.lstm
        self._state: LstmState | None = None

    def push(self, x: Tensor) -> Tensor:
        if x.shape[1] == 0:
            return x
        y: Tensor
        y, self._state = self._lstm(x.transpose(0, 1), self._state)  # (T, B, C)
        return y.transpose(0, 1)

    def finish(self, x: Tensor) -> Tensor:
        return self.push(x)


class DecoderStage:
    """One decoder level: the transposed convolution's windows overlap, so its last features wait for the next block."""

    def __init__(self, block: nn.Sequential, skips: SkipQueue) -> None:
        pointwise, transposed = block[0], block[2]
        if not isinstance(pointwise, nn.Conv1d) or not isinstance(transposed, nn.ConvTranspose1d):
            raise TypeError(f"a decoder level has a pointwise and a transposed convolution, got {block}")
        (self._stride,) = transposed.stride
        self._gate = GatedPointwise(pointwise)
        # Weights (Cin, Cout, K) become K / S matrices (Cin, S * Cout), each for the rows that come so much later.
        self._parts = _split_taps(transposed.weight.permute(0, 2, 1), stride=self._stride, dim=1)
        self._bias = _bias_of(transposed).repeat(self._stride)
        self._out_channels = transposed.out_channels
        self._has_relu = len(block) > 3
        self._skips = skips
        self._history: Tensor | None = None

    def push(self, x: Tensor) -> Tensor:
        if x.shape[1] == 0:
            return x.new_zeros(x.shape[0], 0, self._out_channels)
        self._skips.add_to(x)
        earlier = len(self._parts) - 1
        if self._history is None:
            self._history = x.new_zeros(x.shape[0], earlier, x.shape[2])
        features = x.new_empty(x.shape[0], earlier + x.shape[1], x.shape[2])
        features[:, :earlier] = self._history
        self._gate(x, out=features[:, earlier:])
        return self._overlap_add(features)

    def finish(self, x: Tensor) -> Tensor:
        done = self.push(x)
        if self._history is None:
            return done
        silence = torch.zeros_like(self._history)
        return torch.cat((done, self._overlap_add(torch.cat((self._history, silence), 1))), 1)

    def _overlap_add(self, features: Tensor) -> Tensor:
        """Return the rows that `features` (B, earlier + T, Cin) complete, (B, T * S, Cout)."""
        earlier = len(self._parts) - 1
        rows = features.shape[1] - earlier
        self._history = features[:, rows:].clone()
        sums = _affine(features[:, earlier:], self._parts[0], self._bias)  # (B, T, S * Cout)
        for part, weight in enumerate(self._parts[1:], start=1):
            sums.baddbmm_(features[:, earlier - part :][:, :rows], weight.expand(sums.shape[0], -1, -1))
        if self._has_relu:
            sums.relu_()
        return sums.reshape(sums.shape[0], rows * self._stride, self._out_channels)


class GatedPointwise:
    """A 1x1 convolution to twice the channels and the GLU after it, on (B, T, C)."""

    def __init__(self, pointwise: nn.Conv1d) -> None:
        self._weight = pointwise.weight[:, :, 0].t()[None].contiguous()  # (1, Cin, 2 * Cout)
        self._bias = _bias_of(pointwise)

    def __call__(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Return (B, T, C), written to `out` where it is given."""
        doubled = _affine(x, self._weight, self._bias)
        if out is None:
            return F.glu(doubled, dim=-1)
        value, gate = doubled.chunk(2, dim=-1)
        return torch.mul(value, gate.sigmoid_(), out=out)


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x @ weight + bias of `x` (B, T, Cin), `weight` (1, Cin, Cout), `bias` (Cout,), rows strided or not."""
    return torch.baddbmm(bias, x, weight.expand(x.shape[0], -1, -1))


def _split_taps(weight: Tensor, *, stride: int, dim: int) -> list[Tensor]:
    """Return `weight` (three axes, taps and another channel axis at `dim`) as matrices (1, ., .) of `stride` taps."""
    if weight.shape[dim] % stride:
        raise ValueError(f"a kernel of {weight.shape[dim]} taps is no multiple of the stride {stride}")
    return [part.flatten(dim, dim + 1)[None].contiguous() for part in weight.split(stride, dim)]


def _bias_of(layer: nn.Conv1d | nn.ConvTranspose1d) -> Tensor:
    return layer.weight.new_zeros(layer.out_channels) if layer.bias is None else layer.bias.detach()

"""DNSMOS P.835 as a loss: the opinion that its network has of the estimate, without a reference.

The network that `speechmos` brings (Reddy, Gopal and Cutler, "DNSMOS P.835", 2022) is rebuilt in PyTorch from the
package's own file, so that gradients reach the wave. What learns from it is no longer judged by it independently: state
that beside its DNSMOS, and look at measures that it did not learn from.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.errors import InvalidOptions

HOP = 160  # samples at 16 kHz; a frame has 320
POOLED_AFTER = frozenset({3, 4, 5})  # max pooling of 2 x 2 follows these convolutions
LOG_POWER_FLOOR = 1e-12
QUIET_POWER = 1e-5  # of a bin; that of a voice is some 1e-2
OVERALL = 2  # the place of OVRL among the scores
BEST_SCORE = 5.0
CONVOLUTIONS = ("conv2d", *(f"conv2d_{number}" for number in range(1, 7)))
DENSE = ("dense", "dense_1", "dense_3")
# Polynomials from the network's outputs to scores, highest power first, by the authors: SIG, BAK, OVRL.
POLYNOMIALS = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)


class OpinionNetwork(nn.Module):
    """Maps (B, T) at 16 kHz, of at least a tenth of a second, to opinion scores (B, 3), about 1 to 5: SIG, BAK, OVRL.

    The package cuts what it hears into 9.01 s and repeats what is shorter; this network hears all of it at once.
    """

    transform: Tensor
    polynomials: Tensor

    def __init__(self, arrays: dict[str, Tensor]) -> None:
        super().__init__()
        transform = torch.cat((arrays["stft-real/kernel"], arrays["stft-imag/kernel"]))  # (322, 320, 1)
        self.register_buffer("transform", transform.transpose(1, 2))
        self.register_buffer("polynomials", torch.tensor(POLYNOMIALS))
        self.convolutions = nn.ModuleList(_convolution(arrays, name) for name in CONVOLUTIONS)
        self.dense = nn.ModuleList(_linear(arrays, name) for name in DENSE)
        self.requires_grad_(False)

    def forward(self, wav: Tensor) -> Tensor:
        real, imaginary = F.conv1d(wav.unsqueeze(1), self.transform, stride=HOP).chunk(2, dim=1)  # (B, 161, N) each
        power = real.square() + imaginary.square()
        x = (_steady_log(power) / math.log(10)).transpose(1, 2).unsqueeze(1)
        for index, convolution in enumerate(self.convolutions):
            x = torch.relu(convolution(x))
            if index in POOLED_AFTER:
                x = F.max_pool2d(x, 2)
        x = x.amax(dim=(2, 3))
        for layer in self.dense[:-1]:
            x = torch.relu(layer(x))
        x = self.dense[-1](x).float()
        square, linear, constant = self.polynomials.unbind(1)
        scores: Tensor = (square * x + linear) * x + constant
        return scores


def _steady_log(power: Tensor) -> Tensor:
    """Return the logarithm, whose gradient levels off below `QUIET_POWER`: near silence it would have no bound."""
    followed = (power + QUIET_POWER).log()
    return followed + (power.clamp(min=LOG_POWER_FLOOR).log() - followed).detach()


def _convolution(arrays: dict[str, Tensor], name: str) -> nn.Conv2d:
    kernel = arrays[f"{name}/kernel"]
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], (kernel.shape[2], kernel.shape[3]), padding=1)
    layer.load_state_dict({"weight": kernel, "bias": arrays[f"{name}/bias"]})
    return layer


def _linear(arrays: dict[str, Tensor], name: str) -> nn.Linear:
    weight = arrays[f"{name}/MatMul"]  # (in, out)
    layer = nn.Linear(*weight.shape)
    layer.load_state_dict({"weight": weight.T, "bias": arrays[f"{name}/BiasAdd"]})
    return layer


def opinion_loss(estimate: Tensor, clean: Tensor, *, waves: int = 1) -> Tensor:
    """Return what the OVRL scores of the first `waves` of (B, T) at 16 kHz lack to 5, in the mean.

    The convolutions take some 9 GFLOP for a second of sound, gradients included, more than our networks: so a recipe
    says how many waves of a batch are heard. The clean speech is not looked at. InvalidOptions where the packages of
    DNSMOS are not installed.
    """
    with torch.autocast(estimate.device.type, dtype=torch.bfloat16):
        scores = installed_network(estimate.device)(estimate[:waves])
    loss: Tensor = (BEST_SCORE - scores[:, OVERALL]).mean()
    return loss


@lru_cache(maxsize=2)
def installed_network(device: torch.device) -> OpinionNetwork:
    """Return the network of the installed package."""
    package = find_spec("speechmos")
    if package is None or package.origin is None or find_spec("onnx") is None:
        raise InvalidOptions("The loss 'opinion' needs packages: pip install 'limpid[train]', or leave it out")
    return read_opinion_network(Path(package.origin).parent / "dnsmos_models" / "sig_bak_ovr.onnx").to(device)


def read_opinion_network(path: Path) -> OpinionNetwork:
    """Return the network of the ONNX file at `path`, in the layout of DNSMOS P.835."""
    onnx: Any = import_module("onnx")
    arrays = {
        _short_name(tensor.name): torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(str(path)).graph.initializer
    }
    return OpinionNetwork(arrays)


def _short_name(name: str) -> str:
    """Return the layer and what it is of `name`: a/dense_1/MatMul/ReadVariableOp/resource:0 is dense_1/MatMul."""
    return "/".join(name.removesuffix(":0").removesuffix("/ReadVariableOp/resource").split("/")[-2:])

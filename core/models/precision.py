"""Half the width where it costs nothing that can be heard: bfloat16 inside one module of a float32 network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def has_fast_bfloat16(device: str) -> bool:
    """True where `device` ("cpu", "cuda") multiplies bfloat16 matrices in hardware, about twice as fast as float32."""
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


class Bfloat16Inside(nn.Module):
    """Runs `module` with bfloat16 matrix products and attention; inputs, outputs and sums over layers are float32.

    Normalisation and softmax keep float32 too, as autocast has it.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:  # noqa: ANN401 - one tensor or several, as the module has it
        with torch.autocast(inputs[0].device.type, dtype=torch.bfloat16):
            outputs = self.module(*inputs)
        if isinstance(outputs, Tensor):
            return outputs.float()
        return tuple(output.float() for output in outputs)


def bfloat16_products(device: torch.device, *, enabled: bool = True) -> torch.autocast:
    """A context in which matrix products and convolutions are made in bfloat16; norms and softmax stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@contextmanager
def flash_attention() -> Iterator[None]:
    """Have nn.MultiheadAttention use scaled_dot_product_attention, not its "fast path", which is slower on a CPU."""
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)

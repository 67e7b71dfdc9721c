"""bfloat16 inside one module, and where it is worth while."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.models.precision import Bfloat16Inside, flash_attention, has_fast_bfloat16


class TwoOutputs(nn.Module):
    """Two products of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 64)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(first), self.linear(second)


@pytest.mark.parametrize(
    ("capabilities", "is_fast"),
    [({}, False), ({"avx512_f": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_cpu_is_fast_where_it_multiplies_bfloat16_itself(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any], is_fast: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    assert has_fast_bfloat16("cpu") is is_fast


@torch.no_grad()
def test_products_are_bfloat16_and_outputs_float32() -> None:
    torch.manual_seed(0)
    module = TwoOutputs()
    inputs = torch.randn(8, 64), torch.randn(8, 64)
    exact = module(*inputs)

    estimates = Bfloat16Inside(module)(*inputs)

    for estimate, expected in zip(estimates, exact, strict=True):
        error_db = float(20 * torch.log10((estimate - expected).norm() / expected.norm()))
        assert estimate.dtype == torch.float32
        assert -70 < error_db < -40


def test_single_output_stays_a_tensor() -> None:
    assert Bfloat16Inside(nn.Linear(4, 2))(torch.ones(1, 4)).shape == (1, 2)


@pytest.mark.parametrize("was_enabled", [True, False])
def test_flash_attention_gives_the_setting_back_after_an_error_too(was_enabled: bool) -> None:
    inside = []

    def stop_inside() -> None:
        with flash_attention():
            inside.append(torch.backends.mha.get_fastpath_enabled())
            raise RuntimeError("stopped")

    torch.backends.mha.set_fastpath_enabled(was_enabled)
    try:
        with pytest.raises(RuntimeError, match="stopped"):
            stop_inside()

        assert inside == [False]
        assert torch.backends.mha.get_fastpath_enabled() is was_enabled
    finally:
        torch.backends.mha.set_fastpath_enabled(True)

"""Networks that start from weights which they, or smaller ones of their kind, once had."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.errors import InvalidOptions
from core.models.band_split_lstm import BandSplitLstm
from training.initialisation import load_initial_state


def test_what_initial_weights_lack_keeps_its_own_start_when_it_is_said_to_be_new() -> None:
    old, grown = nn.Sequential(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    own = grown[1].weight.clone()

    load_initial_state(grown, old.state_dict(), new_parts=["1.*"], name="old.safetensors")

    torch.testing.assert_close(grown[0].weight, old[0].weight, rtol=0, atol=0)
    torch.testing.assert_close(grown[1].weight, own, rtol=0, atol=0)


def test_new_parts_that_initial_weights_hold_are_loaded() -> None:
    first, second = nn.Sequential(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3))

    load_initial_state(second, first.state_dict(), new_parts=["*"], name="old.safetensors")

    torch.testing.assert_close(second[0].weight, first[0].weight, rtol=0, atol=0)


def test_initial_weights_that_lack_other_parts_are_refused_with_their_names() -> None:
    old, grown = nn.Sequential(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))

    with pytest.raises(InvalidOptions, match=r"'old\.safetensors'.*they lack 1\.bias, 1\.weight \(loop\.new_parts"):
        load_initial_state(grown, old.state_dict(), name="old.safetensors")


def test_initial_weights_of_other_shapes_or_with_parts_too_many_are_refused() -> None:
    network = nn.Sequential(nn.Linear(3, 3))

    for other in (nn.Sequential(nn.Linear(3, 4)), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))):
        with pytest.raises(InvalidOptions, match=r"do not fit the recipe's network$"):
            load_initial_state(network, other.state_dict(), new_parts=["*"], name="other.safetensors")


def test_a_network_with_more_cells_does_at_first_as_the_narrower_one_did_and_learns_with_all() -> None:
    torch.manual_seed(0)
    narrow = BandSplitLstm(width=8, hidden=4, blocks=2, feed_forward=8)
    wide = BandSplitLstm(width=8, hidden=6, blocks=2, feed_forward=8)
    noisy = torch.randn(1, 8000)

    load_initial_state(wide, narrow.state_dict(), widen=True, name="narrow.safetensors")

    with torch.no_grad():
        torch.testing.assert_close(wide(noisy), narrow(noisy), rtol=0, atol=1e-6)
    wide(noisy).square().sum().backward()
    gradient = wide.get_parameter("blocks.0.over_time.projection.weight").grad
    assert gradient is not None
    assert (gradient.unflatten(1, (2, 6))[:, :, 4:].abs().amax((0, 2)) > 0).all()


def test_narrower_initial_weights_are_refused_unless_the_network_may_widen_them() -> None:
    narrow, wide = BandSplitLstm(width=8, hidden=4), BandSplitLstm(width=8, hidden=6)

    with pytest.raises(InvalidOptions, match=r"do not fit the recipe's network$"):
        load_initial_state(wide, narrow.state_dict(), name="narrow.safetensors")
    with pytest.raises(InvalidOptions, match=r"do not fit the recipe's network$"):
        load_initial_state(narrow, wide.state_dict(), widen=True, name="wide.safetensors")

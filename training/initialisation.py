"""How a network starts: at random as its class does, so that it passes its input, or from weights that it once had."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from core.errors import InvalidOptions
from core.models.band_split_lstm import RecurrentPath
from core.models.two_stage_unet import PARTS, STEM_SIZE, TwoStageUNet

NAMED_AT_MOST = 3  # parameters in a message
GATES = 4  # of an LSTM, whose rows follow each other in its weights


def initialise(network: nn.Module, *, start: str) -> None:
    """Initialise `network` in place: "random" leaves it as it was built, "pass-through" makes it pass its input.

    InvalidOptions for a network that has no such start.
    """
    if start == "random":
        return
    if start != "pass-through" or not isinstance(network, TwoStageUNet):
        raise InvalidOptions(f"system.start={start!r} is not known for a {type(network).__name__}")
    pass_through(network)


@torch.no_grad()
def pass_through(network: TwoStageUNet) -> None:
    """Set a path through stage 2 that carries the input to the output, and let all else add nothing at first.

    From random weights stage 2, which has no skip, gives near silence for hundreds of steps: the first of the two
    failures that short runs of this network are known for. Here it starts at the other end, as stage 1 does by design,
    and learns what to take away.

    Four channels of the stem hold ELU(x) and ELU(-x) of both parts at the centre tap. Their difference is x + sign(x)
    (1 - exp(-|x|)), which the network's `scale` makes nearly x for all bins that matter. The linear 1 x 1 convolutions
    of the highest level carry it on. The layers that could disturb the path begin at zero where they write into it.
    """
    weights = dict(network.named_parameters())
    stem = weights["stage2.stem.weight"]
    entry, last = "stage2.unet.encoder.0.block", "stage2.unet.decoder.0.block"
    final_convolution = network.convolutions - 1
    stem[: 2 * PARTS] = 0
    for block in (entry, last):
        weights[f"{block}.proj.weight"][:PARTS] = 0
        weights[f"{block}.tfc.{final_convolution}.weight"][:PARTS] = 0
    weights["head.weight"][:] = 0
    weights["sam.residual.weight"][:] = 0
    centre = STEM_SIZE // 2
    width = len(stem)
    for part in range(PARTS):
        for offset, sign in ((0, 1.0), (1, -1.0)):
            channel = 2 * part + offset
            stem[channel, part, centre, centre] = sign
            weights[f"{entry}.proj.weight"][part, channel, 0, 0] = sign
        # The last block reads the raised features first, then the skip.
        weights[f"{last}.proj.weight"][part, width + part, 0, 0] = 1.0
        weights["head.weight"][part, part, 1, 1] = 1.0


def load_initial_state(
    network: nn.Module, state: Mapping[str, Tensor], *, new_parts: Sequence[str] = (), widen: bool = False, name: str
) -> None:
    """Load the weights `state` of the file `name` into `network`; what matches `new_parts` keeps its own where missing.

    With `widen` the recurrent paths of the file may have fewer cells, and the network does as it did with these.
    InvalidOptions for weights of other shapes or names, or that lack others than the new parts.
    """
    if widen:
        state = widen_recurrent_paths(network, state)
    own = network.state_dict()
    kept = {key: own[key] for key in own.keys() - state.keys() if any(fnmatch.fnmatchcase(key, p) for p in new_parts)}
    try:
        network.load_state_dict({**kept, **state})
    except RuntimeError as error:
        lacking = ", ".join(sorted(own.keys() - state.keys() - kept.keys())[:NAMED_AT_MOST])
        hint = f"; they lack {lacking} (loop.new_parts says what they may lack)" if lacking else ""
        raise InvalidOptions(f"The weights {name!r} do not fit the recipe's network{hint}") from error


def widen_recurrent_paths(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with as many cells in its recurrent paths as `network` has, whose own weights the new ones get.

    The old cells do not hear the new ones, and nothing that follows does at first: the output is that of `state`.
    """
    widened = dict(state)
    for name, path in network.named_modules():
        if isinstance(path, RecurrentPath) and f"{name}.projection.weight" in state:
            old = {key: state[f"{name}.{key}"] for key in path.state_dict()}
            cells = old["projection.weight"].shape[1] // 2
            if cells < path.lstm.hidden_size:
                widened |= {f"{name}.{key}": value for key, value in _widened_path(path, old, cells).items()}
    return widened


def _widened_path(path: RecurrentPath, old: dict[str, Tensor], cells: int) -> dict[str, Tensor]:
    """Return the weights of `path` with those of `old`, which has fewer `cells` a direction, in their places."""
    weights = {key: value.clone() for key, value in path.state_dict().items()}
    for key, value in old.items():
        if key == "projection.weight":  # of the cells of both directions, one after the other
            weights[key].zero_()
            by_direction = weights[key].unflatten(1, (2, -1))
            by_direction[:, :, :cells] = value.unflatten(1, (2, -1))
        elif key.startswith("lstm."):
            by_gate, old_by_gate = (tensor.unflatten(0, (GATES, -1)) for tensor in (weights[key], value))
            if key.startswith("lstm.weight_hh"):
                by_gate[:, :cells] = 0
                by_gate[:, :cells, :cells] = old_by_gate
            else:
                by_gate[:, :cells] = old_by_gate
        else:
            weights[key] = value
    return weights

"""How a network starts: at random as its class does, so that it passes its input, or from weights that it once had."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from core.errors import InvalidOptions
from core.models.two_stage_unet import PARTS, STEM_SIZE, TwoStageUNet

NAMED_AT_MOST = 3  # parameters in a message


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
    network: nn.Module, state: Mapping[str, Tensor], *, new_parts: Sequence[str] = (), name: str
) -> None:
    """Load the weights `state` of the file `name` into `network`; what matches `new_parts` keeps its own where missing.

    InvalidOptions for weights of other shapes or names, or that lack others than the new parts.
    """
    own = network.state_dict()
    kept = {key: own[key] for key in own.keys() - state.keys() if any(fnmatch.fnmatchcase(key, p) for p in new_parts)}
    try:
        network.load_state_dict({**kept, **state})
    except RuntimeError as error:
        lacking = ", ".join(sorted(own.keys() - state.keys() - kept.keys())[:NAMED_AT_MOST])
        hint = f"; they lack {lacking} (loop.new_parts says what they may lack)" if lacking else ""
        raise InvalidOptions(f"The weights {name!r} do not fit the recipe's network{hint}") from error

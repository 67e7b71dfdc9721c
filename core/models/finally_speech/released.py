"""Converts checkpoints that users trained with the public unofficial code of FINALLY into ours.

Such a file is a mapping with `state_dict` and `optimizer_state_dict`. The names of its components are known, those
inside them are not relied on: within a component, layers of equal shapes are paired in the order in which either side
lists them. That is right for code that lists layers in the order of their use, as PyTorch code does; every tensor has
to find its place, but equal shapes in another order would go unnoticed, so listen to what a converted model does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.errors import ModelUnavailable
from core.models.checkpoints import CheckpointCard, save_checkpoint
from core.models.finally_speech.generator import FinallyGenerator
from core.models.released import load_tensors_only, read_verified

ARCHITECTURE = "finally"
COMPONENTS = {
    "spectralunet": "spectral_unet",
    "wavlm_post_processing": "post_processing",
    "pre_upsampler_proccessing": "pre_upsampler",  # spelt so
    "hifi": "upsampler",
    "waveunet_conv_pre": "join_input",
    "waveunet": "wave_unet",
    "waveunet_skip_connect": "wave_skip",
    "spectralmasknet": "mask_net",
    "spectralmasknet_skip_connect": "mask_skip",
    "upsamplewaveunet": "upsample_wave_unet",
}
HEAD_16K, HEAD_48K = "conv_post", "conv_final"
"""A generator for 48 kHz holds both and uses the second."""

_GAIN, _DIRECTION = "parametrizations.weight.original0", "parametrizations.weight.original1"
_OLDER_NAMES = {"weight_g": _GAIN, "weight_v": _DIRECTION}

Layer = dict[str, tuple[str, Tensor]]
"""Parameter within its layer (bias, gain, direction, ...) -> whole name and tensor."""


def read_generator_state(path: Path, *, model: str) -> dict[str, Tensor]:
    """Return the generator's tensors by their original names; nothing in the file gets to run.

    ModelUnavailable when the file cannot be read or holds no `state_dict` of tensors.
    """
    data, _ = read_verified(path, model=model)
    content = load_tensors_only(data, model=model)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ModelUnavailable(f"The weights of the model {model!r} hold no 'state_dict' of tensors by name")
    return {key.removeprefix("module."): value for key, value in state.items()}  # a prefix of parallel training


def output_rate_of(state: Mapping[str, Tensor]) -> int:
    """Return the rate in Hz that a generator of these tensors puts out."""
    return 48_000 if any(key.startswith("upsamplewaveunet.") for key in state) else 16_000


def map_tensors(state: Mapping[str, Tensor], network: FinallyGenerator, *, model: str) -> dict[str, Tensor]:
    """Return `state` under the names of `network`, which may be on the meta device: all of its tensors, and no other.

    ModelUnavailable, naming the first component that does not fit, otherwise.
    """
    is_wide = network.upsample_wave_unet is not None
    components = {**COMPONENTS, (HEAD_48K if is_wide else HEAD_16K): "last"}
    theirs = _by_component(state)
    theirs.pop(HEAD_16K if is_wide else HEAD_48K, None)
    unknown = sorted(theirs.keys() - components.keys())
    if unknown:
        raise ModelUnavailable(f"The weights of the model {model!r} hold {unknown[0]!r}, which FINALLY does not have")
    ours = _by_component(network.state_dict())
    mapped: dict[str, Tensor] = {}
    for name, our_name in components.items():
        if our_name in ours:
            mapped.update(_map_component(theirs.get(name, {}), ours[our_name], component=name, model=model))
    return mapped


def convert_checkpoint(
    source: Path,
    *,
    name: str,
    target: Path,
    licence: str,
    arguments: Mapping[str, Any] | None = None,
    expected_rate: int | None = None,
) -> CheckpointCard:
    """Write the generator of `source` to `target` with a card; return the card.

    `licence` is that of the weights, which their trainer knows. `arguments` build the network beside its output rate,
    which the file tells; None for the published sizes. ModelUnavailable when the file is no such checkpoint, or
    a generator for another rate than the one expected.
    """
    state = read_generator_state(source, model=name)
    output_rate = output_rate_of(state)
    if expected_rate not in (None, output_rate):
        raise ModelUnavailable(
            f"The weights are of a generator for {output_rate} Hz; {name!r} is one for {expected_rate} Hz"
        )
    arguments = {**(arguments or {}), "output_rate": output_rate}
    with torch.device("meta"):
        network = FinallyGenerator.from_arguments(**arguments)
    card = CheckpointCard(
        name=name,
        architecture=ARCHITECTURE,
        arguments=arguments,
        sample_rate=arguments["output_rate"],
        licence=licence,
        run_id="converted",
    )
    return save_checkpoint(target, map_tensors(state, network, model=name), card=card)


def _by_component(state: Mapping[str, Tensor]) -> dict[str, dict[str, Layer]]:
    """Return component -> layer -> its parameters, each in the order of `state`."""
    components: dict[str, dict[str, Layer]] = {}
    for key, tensor in state.items():
        layer, _, parameter = key.rpartition(".")
        parameter = _OLDER_NAMES.get(parameter, parameter)
        if layer.endswith(".parametrizations.weight"):
            layer, parameter = layer.removesuffix(".parametrizations.weight"), f"parametrizations.weight.{parameter}"
        layers = components.setdefault(key.partition(".")[0], {})
        layers.setdefault(layer, {})[parameter] = (key, tensor)
    return components


def _map_component(
    theirs: Mapping[str, Layer], ours: Mapping[str, Layer], *, component: str, model: str
) -> dict[str, Tensor]:
    found, expected = _by_shape(theirs.values()), _by_shape(ours.values())
    for shapes in expected.keys() | found.keys():
        there, wanted = len(found[shapes]), len(expected[shapes])
        if there != wanted:
            raise ModelUnavailable(
                f"The weights of the model {model!r} do not fit FINALLY: {component!r} holds {there} layers of "
                f"{', '.join(f'{parameter} {shape}' for parameter, shape in shapes)}, expected {wanted}"
            )
    return {
        our_layer[parameter][0]: tensor
        for shapes, our_layers in expected.items()
        for our_layer, their_layer in zip(our_layers, found[shapes], strict=True)
        for parameter, (_, tensor) in their_layer.items()
    }


def _by_shape(layers: Iterable[Layer]) -> defaultdict[tuple[tuple[str, tuple[int, ...]], ...], list[Layer]]:
    groups: defaultdict[tuple[tuple[str, tuple[int, ...]], ...], list[Layer]] = defaultdict(list)
    for layer in layers:
        groups[tuple(sorted((parameter, tuple(tensor.shape)) for parameter, (_, tensor) in layer.items()))].append(
            layer
        )
    return groups

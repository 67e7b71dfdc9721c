"""Checkpoints in the layout of the public unofficial code, written here, become networks of ours."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.errors import ModelUnavailable
from core.models.checkpoints import load_model
from core.models.finally_speech.generator import FinallyGenerator, GeneratorSizes
from core.models.finally_speech.released import (
    ARCHITECTURE,
    COMPONENTS,
    convert_checkpoint,
    map_tensors,
    output_rate_of,
    read_generator_state,
)

SMALL = GeneratorSizes(
    spectral_widths=(2, 4),
    spectral_depth=1,
    post_depth=2,
    channels=32,
    wave_widths=(4, 4),
    wave_depth=1,
    mask_widths=(2, 4),
    mask_depth=1,
)
ARGUMENTS = {"feature_width": 4, "sizes": asdict(SMALL)}
OLDER_WEIGHT_NORM = ("post_processing", "upsample_wave_unet", "last")


def their_state(network: FinallyGenerator, *, has_spare_head: bool = True) -> dict[str, Tensor]:
    """The tensors of `network` under component names and weight-norm names of the public code, inner names its own."""
    is_wide = network.upsample_wave_unet is not None
    names = {ours: theirs for theirs, ours in COMPONENTS.items()} | {"last": "conv_final" if is_wide else "conv_post"}
    state = {}
    for key, tensor in network.state_dict().items():
        component, _, rest = key.partition(".")
        if component in OLDER_WEIGHT_NORM and (is_wide or component != "last"):
            rest = rest.replace("parametrizations.weight.original0", "weight_g")
            rest = rest.replace("parametrizations.weight.original1", "weight_v")
        rest = rest.replace("convs", "layers").replace("before", "down_stages")
        state[f"{names[component]}.{rest}"] = tensor
        if is_wide and has_spare_head and component == "last":
            state[f"conv_post.{key.partition('.')[2]}"] = torch.zeros_like(tensor)
    return state


@pytest.fixture(scope="module")
def published() -> FinallyGenerator:
    with torch.device("meta"):
        return FinallyGenerator()


@pytest.fixture(scope="module")
def small() -> FinallyGenerator:
    torch.manual_seed(1)
    return FinallyGenerator(feature_width=4, output_rate=16000, sizes=SMALL).eval()


def test_every_tensor_of_the_published_generator_has_a_place(published: FinallyGenerator) -> None:
    state = their_state(published)

    mapped = map_tensors(state, published, model="theirs")

    assert len(state) == 856
    assert output_rate_of(state) == 48_000
    assert {key: tensor.shape for key, tensor in mapped.items()} == {
        key: tensor.shape for key, tensor in published.state_dict().items()
    }


@torch.no_grad()
def test_converted_checkpoint_computes_what_the_original_does(tmp_path: Path, small: FinallyGenerator) -> None:
    optimizer = torch.optim.AdamW(small.parameters())
    content = {"state_dict": their_state(small), "optimizer_state_dict": optimizer.state_dict()}
    torch.save(content, tmp_path / "theirs.pth")

    card = convert_checkpoint(
        tmp_path / "theirs.pth", name="mine", target=tmp_path / "mine.safetensors", licence="mine", arguments=ARGUMENTS
    )
    _, loaded = load_model(
        tmp_path / "mine.safetensors", architecture=ARCHITECTURE, build=FinallyGenerator.from_arguments
    )

    wav = torch.randn(1, 1, 1024, generator=torch.Generator().manual_seed(2)).clamp(-1, 1)
    features = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(3))
    assert torch.equal(loaded(wav, features), small(wav, features))
    assert card.sample_rate == 16_000


def test_names_of_parallel_training_are_understood(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module.hifi.up.bias": torch.zeros(1)}}, tmp_path / "theirs.pth")

    assert list(read_generator_state(tmp_path / "theirs.pth", model="theirs")) == ["hifi.up.bias"]


def test_a_missing_tensor_is_named_by_its_component(small: FinallyGenerator) -> None:
    state = their_state(small)
    del state["hifi.ups.1.bias"]

    with pytest.raises(ModelUnavailable, match="do not fit FINALLY: 'hifi' holds"):
        map_tensors(state, small, model="theirs")


def test_a_missing_component_is_named(small: FinallyGenerator) -> None:
    state = {key: tensor for key, tensor in their_state(small).items() if not key.startswith("waveunet.")}

    with pytest.raises(ModelUnavailable, match="'waveunet' holds 0 layers"):
        map_tensors(state, small, model="theirs")


def test_other_sizes_are_refused(small: FinallyGenerator, published: FinallyGenerator) -> None:
    with pytest.raises(ModelUnavailable, match="do not fit FINALLY"):
        map_tensors(their_state(small), published, model="theirs")


def test_a_component_that_finally_does_not_have_is_named(small: FinallyGenerator) -> None:
    with pytest.raises(ModelUnavailable, match="'vocoder', which FINALLY does not have"):
        map_tensors({**their_state(small), "vocoder.bias": torch.zeros(1)}, small, model="theirs")


@pytest.mark.parametrize("content", [{"model": {}}, {"state_dict": [1]}, [1, 2]], ids=["other-key", "list", "no-map"])
def test_other_files_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "theirs.pth")

    with pytest.raises(ModelUnavailable, match="no 'state_dict'"):
        read_generator_state(tmp_path / "theirs.pth", model="theirs")


def test_a_file_with_more_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"hifi.bias": torch.nn.ReLU()}}, tmp_path / "theirs.pth")

    with pytest.raises(ModelUnavailable, match="more than tensors"):
        read_generator_state(tmp_path / "theirs.pth", model="theirs")

"""The causal Demucs against the released network's shapes, counts and golden values."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from core.models.demucs_causal import VARIANTS, DemucsCausal, DemucsCausalConfig, rescale_convolutions

TINY = DemucsCausalConfig(hidden=4, depth=3)


def fill_with_sines(network: DemucsCausal, scale: float) -> None:
    """Set weight i of the k-th tensor, keys in alphabetical order, to scale * sin(0.37 i + 0.91 k)."""
    state = network.state_dict()
    for k, key in enumerate(sorted(state)):
        i = torch.arange(state[key].numel(), dtype=torch.float64)
        state[key] = (scale * torch.sin(0.37 * i + 0.91 * k)).float().reshape(state[key].shape)
    network.load_state_dict(state)


def golden_input(length: int = 4000) -> torch.Tensor:
    n = torch.arange(length, dtype=torch.float64)
    return (0.3 * torch.sin(0.05 * n) + 0.1 * torch.sin(0.31 * n + 1)).float().reshape(1, 1, -1)


@pytest.fixture
def tiny() -> DemucsCausal:
    torch.manual_seed(0)
    return DemucsCausal.from_config(TINY).eval()


@pytest.mark.parametrize(
    ("config", "scale", "samples", "mean"),
    [
        pytest.param(
            TINY,
            0.3,
            [0.0103488, 0.0201299, 0.0200869, 0.0198393, 0.0198249],
            1.973994e-02,
            id="hidden 4, depth 3",
        ),
        pytest.param(
            VARIANTS["dns48"],
            0.05,
            [-0.00454139, -0.00739372, -0.00678367, -0.00678136, -0.00677916],
            -6.780618e-03,
            id="dns48",
        ),
        pytest.param(
            replace(TINY, stride=2, resample=2, causal=False),
            0.3,
            [0.0122592, 0.0152769, 0.018581, 0.0179061, 0.0254694],
            1.761274e-02,
            id="non-causal",
        ),
    ],
)
def test_output_equals_the_original_network(
    config: DemucsCausalConfig, scale: float, samples: list[float], mean: float
) -> None:
    network = DemucsCausal.from_config(config).eval()
    fill_with_sines(network, scale)

    with torch.inference_mode():
        y = network(golden_input())[0, 0]

    assert y[[0, 1, 1000, 2500, 3999]].tolist() == pytest.approx(samples, rel=1e-4, abs=1e-6)
    assert float(y.mean()) == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "parameters", "tensors", "total_stride"),
    [
        ("dns48", 18_867_937, 48, 256),
        ("dns64", 33_533_569, 48, 256),
        ("master64", 33_533_569, 48, 256),
        ("valentini_nc", 60_813_953, 58, 16),
    ],
)
def test_released_variant_has_its_size_and_stride(name: str, parameters: int, tensors: int, total_stride: int) -> None:
    with torch.device("meta"):
        network = DemucsCausal.from_config(VARIANTS[name])

    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors
    assert network.total_stride == total_stride


def test_state_dict_of_dns48_has_the_released_keys_and_shapes() -> None:
    with torch.device("meta"):
        shapes = {key: tuple(tensor.shape) for key, tensor in DemucsCausal().state_dict().items()}

    expected: dict[str, tuple[int, ...]] = {}
    channels = [1, 48, 96, 192, 384, 768]
    for level in range(5):
        outer, inner = channels[level], channels[level + 1]
        expected |= {
            f"encoder.{level}.0.weight": (inner, outer, 8),
            f"encoder.{level}.0.bias": (inner,),
            f"encoder.{level}.2.weight": (2 * inner, inner, 1),
            f"encoder.{level}.2.bias": (2 * inner,),
            f"decoder.{4 - level}.0.weight": (2 * inner, inner, 1),
            f"decoder.{4 - level}.0.bias": (2 * inner,),
            f"decoder.{4 - level}.2.weight": (inner, outer, 8),
            f"decoder.{4 - level}.2.bias": (outer,),
        }
    for layer in range(2):
        for kind in ("ih", "hh"):
            expected[f"lstm.lstm.weight_{kind}_l{layer}"] = (3072, 768)
            expected[f"lstm.lstm.bias_{kind}_l{layer}"] = (3072,)
    assert shapes == expected


@pytest.mark.parametrize(
    ("name", "length", "expected"),
    [
        ("dns48", 1, 597),
        ("dns48", 16_000, 16_213),
        ("dns48", 64_000, 64_085),
        ("dns48", 160_000, 160_085),
        ("valentini_nc", 1, 109),
        ("valentini_nc", 16_000, 16_013),
    ],
)
def test_valid_length_has_the_published_values(name: str, length: int, expected: int) -> None:
    with torch.device("meta"):
        network = DemucsCausal.from_config(VARIANTS[name])

    assert network.valid_length(length) == expected


@pytest.mark.parametrize("length", [0, 1, 2, 7, 596, 597, 598, 5000])
def test_output_has_the_length_of_the_input(tiny: DemucsCausal, length: int) -> None:
    with torch.inference_mode():
        y = tiny(golden_input(5000)[..., :length])

    assert y.shape == (1, 1, length)
    assert bool(torch.isfinite(y).all())


def test_silence_gives_exact_silence(tiny: DemucsCausal) -> None:
    with torch.inference_mode():
        y = tiny(torch.zeros(2, 1, 1000))

    assert torch.count_nonzero(y) == 0


def test_missing_channel_axis_is_added(tiny: DemucsCausal) -> None:
    with torch.inference_mode():
        assert torch.equal(tiny(golden_input()[0]), tiny(golden_input()))


def test_items_of_a_batch_do_not_influence_each_other(tiny: DemucsCausal) -> None:
    quiet, loud = 0.01 * golden_input(), golden_input().flip(-1)

    with torch.inference_mode():
        together = tiny(torch.cat([quiet, loud]))
        alone = tiny(quiet)

    assert together[:1].allclose(alone, atol=1e-7)


def test_given_std_replaces_the_measured_one(tiny: DemucsCausal) -> None:
    wav = golden_input()

    with torch.inference_mode():
        measured = tiny(wav)
        given = tiny(wav, std=float(wav.std()))
        other = tiny(wav, std=2 * float(wav.std()))

    assert given.allclose(measured, atol=1e-7)
    assert not other.allclose(measured, rtol=1e-2)


def test_network_is_causal_up_to_its_look_ahead() -> None:
    torch.manual_seed(0)
    network = DemucsCausal(hidden=4).eval()
    wav = torch.randn(1, 1, 8000)
    changed = wav.clone()
    changed[..., 5000:] = 0.0

    with torch.inference_mode():
        difference = (network(wav, std=1.0) - network(changed, std=1.0)).abs()[0, 0]

    # 405 samples of network look-ahead; the sinc filters' tails reach further, but hold next to nothing.
    assert float(difference[: 5000 - 405 - 64].max()) < 1e-4 * float(difference.max())
    assert float(difference[5000:].max()) > 0


def test_bottleneck_continues_from_its_state(tiny: DemucsCausal) -> None:
    x = torch.randn(1, 16, 40)

    with torch.inference_mode():
        whole, _ = tiny.lstm(x)
        head, state = tiny.lstm(x[..., :25])
        tail, _ = tiny.lstm(x[..., 25:], state)

    assert torch.cat([head, tail], dim=-1).allclose(whole, atol=1e-6)


def test_rescaling_leaves_every_convolution_with_the_same_spread() -> None:
    torch.manual_seed(1)
    network = DemucsCausal.from_config(TINY)
    torch.manual_seed(1)
    plain = DemucsCausal.from_config(replace(TINY, rescale=1.0))

    for scaled, reference in zip(network.encoder.parameters(), plain.encoder.parameters(), strict=True):
        ratio = (reference / scaled).detach()
        assert float(ratio.min()) == pytest.approx(float(ratio.max()), rel=1e-4)
        assert float(ratio.mean()) == pytest.approx(math.sqrt(10.0), rel=1e-4)
    for untouched, same in zip(network.lstm.parameters(), plain.lstm.parameters(), strict=True):
        assert torch.equal(untouched, same)


def test_rescaling_divides_by_the_root_of_the_spread() -> None:
    layer = torch.nn.Conv1d(3, 5, 8)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.normal_(std=0.4, generator=torch.Generator().manual_seed(0))
        layer.bias.fill_(1.0)
    spread = float(layer.weight.detach().std())

    rescale_convolutions(layer, reference=0.1)

    assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(spread * 0.1), rel=1e-5)
    assert float(layer.bias.detach()[0]) == pytest.approx(math.sqrt(0.1 / spread), rel=1e-5)


def test_unknown_resampling_factor_is_refused() -> None:
    with pytest.raises(ValueError, match="resample must be 1, 2 or 4, got 3"):
        DemucsCausal(resample=3)

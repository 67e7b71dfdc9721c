"""The causal Demucs in blocks against the same network over the whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor

from core.models.demucs_causal import DemucsCausal
from core.models.demucs_stages import Downsampler, Upsampler
from core.models.demucs_stream import DemucsStream
from core.models.sinc_resample import downsample2, upsample2

STD = 0.1


@pytest.fixture(scope="module")
def network() -> DemucsCausal:
    torch.manual_seed(0)
    return DemucsCausal(hidden=4).eval()


def noise(length: int, *, batch: int = 1) -> Tensor:
    return STD * torch.randn(batch, 1, length, generator=torch.Generator().manual_seed(length))


def in_blocks(wav: Tensor, lengths: Iterable[int]) -> list[Tensor]:
    blocks = []
    start = 0
    for length in lengths:
        if start >= wav.shape[-1]:
            break
        blocks.append(wav[..., start : start + length])
        start += length
    return blocks


def stream(network: DemucsCausal, blocks: Iterable[Tensor]) -> Tensor:
    running = DemucsStream(network, std=STD)
    done = [running.push(block) for block in blocks]
    return torch.cat([*done, running.finish()], dim=-1)


def error_db(estimate: Tensor, expected: Tensor) -> float:
    return float(20 * torch.log10((estimate - expected).abs().max() / expected.abs().max() + 1e-12))


@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 597, 598, 4001, 20_000])
@pytest.mark.parametrize("block", [97, 1000, 16_000])
def test_blocks_of_any_length_give_the_result_of_the_whole(network: DemucsCausal, length: int, block: int) -> None:
    wav = noise(length)
    with torch.inference_mode():
        whole = network(wav, std=STD)

    joined = stream(network, in_blocks(wav, itertools.repeat(block)))

    assert joined.shape == whole.shape
    assert error_db(joined, whole) < -110


def test_uneven_and_empty_blocks_change_nothing(network: DemucsCausal) -> None:
    wav = noise(9000)
    with torch.inference_mode():
        whole = network(wav, std=STD)

    joined = stream(network, in_blocks(wav, itertools.cycle([1, 0, 700, 3, 256, 5000])))

    assert error_db(joined, whole) < -110


@pytest.mark.parametrize(
    "network_settings", [{"resample": 1}, {"resample": 2}, {"stride": 2, "resample": 2}, {"kernel_size": 12}]
)
def test_other_shapes_of_the_network_run_in_blocks_too(network_settings: dict[str, int]) -> None:
    torch.manual_seed(0)
    network = DemucsCausal(hidden=4, depth=3, **network_settings).eval()  # type: ignore[arg-type]
    wav = noise(3001)
    with torch.inference_mode():
        whole = network(wav, std=STD)

    assert error_db(stream(network, in_blocks(wav, itertools.repeat(500))), whole) < -110


def test_several_recordings_run_side_by_side(network: DemucsCausal) -> None:
    wav = noise(5000, batch=3)
    with torch.inference_mode():
        whole = network(wav, std=STD)

    assert error_db(stream(network, in_blocks(wav, itertools.repeat(1024))), whole) < -110


def test_output_is_less_than_a_tenth_of_a_second_behind(network: DemucsCausal) -> None:
    running = DemucsStream(network, std=STD)
    received = returned = 0
    for block in in_blocks(noise(16_000), itertools.repeat(256)):
        received += block.shape[-1]
        returned += running.push(block).shape[-1]

    assert 0 <= received - returned < 1600


def test_stream_of_nothing_is_nothing(network: DemucsCausal) -> None:
    assert DemucsStream(network, std=STD).finish().shape == (1, 1, 0)
    assert stream(network, [noise(10)[..., :0]]).shape == (1, 1, 0)


def test_silent_recording_gives_exact_silence(network: DemucsCausal) -> None:
    running = DemucsStream(network, std=0.0)

    joined = torch.cat([running.push(torch.zeros(1, 1, 3000)), running.finish()], dim=-1)

    assert joined.shape == (1, 1, 3000)
    assert torch.count_nonzero(joined) == 0


def test_network_that_needs_the_end_first_is_refused() -> None:
    with pytest.raises(ValueError, match="only a causal network"):
        DemucsStream(DemucsCausal(hidden=4, depth=3, causal=False), std=1.0)


@pytest.mark.parametrize("length", [1, 2, 111, 112, 1001])
@pytest.mark.parametrize("block", [1, 7, 500])
def test_resamplers_in_blocks_equal_those_over_the_whole(length: int, block: int) -> None:
    wav = noise(length)
    for stage, whole in ((Upsampler(), upsample2(wav)), (Downsampler(), downsample2(wav))):
        blocks = in_blocks(wav, itertools.repeat(block))

        joined = torch.cat([*(stage.push(part) for part in blocks[:-1]), stage.finish(blocks[-1])], dim=-1)

        assert joined.shape == whole.shape
        assert error_db(joined, whole) < -110

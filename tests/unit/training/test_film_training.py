"""Training film sound: domains, rates, the pass-through start, both known failures, and overfitting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import InvalidOptions
from core.models.mask_cnn import MaskCnn
from core.models.two_stage_unet import TwoStageUNet
from training.datasets import AudioPool, Clip, Kind, with_effects
from training.initialisation import initialise
from training.losses.combined import build_loss
from training.losses.stages import StageLoss
from training.mixing import Example, Mixer
from training.recipe import MixSection
from training.validation import validate

SAMPLE_RATE = 44_100
TINY = {"widths": (4, 4, 4, 4), "scale": 64.0}
SHORT = {**TINY, "n_fft": 256, "hop_length": 64}


def constant_pool(value: int) -> AudioPool:
    """A pool whose clips can be told apart by the sign and size of a constant."""
    return AudioPool(np.full(40_000, value, np.int16), [(0, 20_000), (20_000, 40_000)])


def make_mixer(**settings: object) -> Mixer:
    rng = np.random.default_rng(0)
    noise = AudioPool((3000 * rng.standard_normal(40_000)).astype(np.int16), [(0, 40_000)])
    pools: dict[Kind, AudioPool] = {
        "speech": constant_pool(1000), "effects": constant_pool(8000), "music": constant_pool(16_000), "noise": noise,
    }  # fmt: skip
    config = MixSection.model_validate({"segment_samples": 4096, "level_db": (0.0, 0.0), **settings})
    return Mixer(pools, config, sample_rate=SAMPLE_RATE, seed=0)


def programme_levels(mixer: Mixer, examples: int) -> list[int]:
    """Return the constant of each example's programme, undone of the gain by way of the exact SNR."""
    rng = [np.random.default_rng([0, index]) for index in range(examples)]
    return [round(float(mixer.programme(generator).max()) * 32767) for generator in rng]


def make_examples(*, snr_db: float = 12.0) -> list[Example]:
    rng = np.random.default_rng(0)
    time_s = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    clean = (0.1 * np.sin(2 * np.pi * 300 * time_s) * (1 + np.sin(2 * np.pi * 3 * time_s))).astype(np.float32)
    noise = rng.standard_normal(SAMPLE_RATE)
    noise *= clean.std() / noise.std() * 10 ** (-snr_db / 20)
    return [Example(noisy=clean + noise.astype(np.float32), clean=clean, snr_db=snr_db)]


def test_domains_are_drawn_by_their_shares() -> None:
    mixer = make_mixer(domains={"speech": 0.6, "effects": 0.2, "music": 0.2})

    levels = programme_levels(mixer, 1000)

    shares = [levels.count(value) / 1000 for value in (1000, 8000, 16_000)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.04)


def test_recipes_of_speech_alone_draw_as_they_did_before_there_were_domains() -> None:
    plain = make_mixer().example(3)
    explicit = make_mixer(domains={"speech": 2.0, "music": 0.0}).example(3)

    np.testing.assert_array_equal(plain.noisy, explicit.noisy)


def test_domains_without_weight_are_refused() -> None:
    with pytest.raises(InvalidOptions, match="speech needs a weight above 0"):
        make_mixer(domains={"speech": 0.0})


@pytest.mark.parametrize("settings", [{"wow_flutter": 1.0}, {"academy": 1.0}, {"noises": {"film": 1.0}}])
def test_film_degradations_keep_the_length_and_the_sum(settings: dict[str, object]) -> None:
    example = make_mixer(snr_db=(10.0, 25.0), **settings).example(0)

    assert example.noisy.shape == example.clean.shape == (4096,)
    noise = example.noisy - example.clean
    snr_db = 10 * np.log10(np.square(example.clean).mean() / np.square(noise).mean())
    if "academy" not in settings:
        assert snr_db == pytest.approx(example.snr_db, abs=0.01)
        assert 10 <= snr_db <= 25
    assert noise.std() > 0


def test_noise_clips_of_named_sources_become_effects() -> None:
    clips = [
        Clip(file="a.ogg", kind="noise", unit="foley/a"),
        Clip(file="b.ogg", kind="noise", unit="hiss/b"),
        Clip(file="c.ogg", kind="speech", unit="foley/c"),
    ]

    assert [clip.kind for clip in with_effects(clips, sources=("foley",))] == ["effects", "noise", "speech"]


def test_pass_through_start_gives_the_input_back() -> None:
    torch.manual_seed(0)
    network = TwoStageUNet(**TINY).eval()
    initialise(network, start="pass-through")
    wav = 0.05 * torch.randn(1, 20_000)

    with torch.inference_mode():
        error = network(wav) - wav

    assert float(10 * torch.log10(error.square().mean() / wav.square().mean())) < -30


def test_pass_through_start_is_refused_for_other_networks() -> None:
    with pytest.raises(InvalidOptions, match="MaskCnn"):
        initialise(MaskCnn(), start="pass-through")


def test_network_that_removes_nine_tenths_of_the_signal_is_caught() -> None:
    class OverDenoising(TwoStageUNet):
        def estimates(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
            return 0.1 * spectrogram, 0.1 * spectrogram

    report = validate(OverDenoising(**TINY), make_examples(), build_loss({"stage_mae": 1.0}), sample_rate=SAMPLE_RATE)

    assert report.residual_correlation > 0.9  # brief e: 0.998
    assert any(warning.startswith("over-denoises") for warning in report.warnings)
    assert any(warning.startswith("changes the level of speech by -20") for warning in report.warnings)


def test_network_that_does_nothing_is_caught() -> None:
    torch.manual_seed(0)
    network = TwoStageUNet(**TINY)
    initialise(network, start="pass-through")

    report = validate(network, make_examples(), build_loss({"stage_mae": 1.0}), sample_rate=SAMPLE_RATE)

    assert abs(report.si_sdr_gain_db) < 0.3
    assert any(warning.startswith("does next to nothing") for warning in report.warnings)


def test_lower_mae_can_mean_over_denoising_which_the_figures_tell_apart() -> None:
    examples = make_examples(snr_db=3.0)
    idle, muffled = TwoStageUNet(**TINY), TwoStageUNet(**TINY)
    idle.estimates = lambda spectrogram: (spectrogram, spectrogram)  # type: ignore[method-assign]
    muffled.estimates = lambda spectrogram: (0.1 * spectrogram, 0.1 * spectrogram)  # type: ignore[method-assign]

    loss = build_loss({"stage_mae": 1.0})
    reports = [validate(network, examples, loss, sample_rate=SAMPLE_RATE) for network in (idle, muffled)]

    assert reports[1].loss < reports[0].loss
    assert reports[1].clean_residual_db > -1 > reports[0].clean_residual_db


def test_two_stage_network_overfits_one_batch() -> None:
    torch.manual_seed(0)
    network = TwoStageUNet(**SHORT)
    initialise(network, start="pass-through")
    loss = build_loss({"stage_mae": 1.0}, sample_rate=SAMPLE_RATE)
    assert isinstance(loss, StageLoss)
    example = make_examples()[0]
    noisy, clean = (torch.from_numpy(wav[None, :2048]) for wav in (example.noisy, example.clean))
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-2)

    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        value = loss.of_network(network, noisy, clean)
        torch.autograd.backward(value)
        optimiser.step()
        losses.append(value.item())

    assert losses[-1] < 0.7 * losses[0]

"""What a generator's run is put together from: recipes, losses, judges that are packages, weights to start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.errors import InvalidOptions
from core.models.band_split_generator import BandSplitGenerator
from core.models.band_split_lstm import BandSplitLstm
from core.models.checkpoints import CheckpointCard, save_checkpoint
from core.models.finally_speech.generator import FinallyGenerator
from training.generation.losses import build_generation_loss
from training.generation.networks import build_generator, card_arguments, fit_to_start, load_start, make_forward
from training.generation.recipe import GenerationRecipe
from training.generation.validation import GenerationReport, drifted_share, validate_generation
from training.losses.lmos import decimate, feature_distance, magnitude_distance
from training.mixing import Example
from training.recipe import list_recipes
from training.tasks import data_setting, load_any_recipe

CPU = torch.device("cpu")
SMALL_FINALLY = {
    "sizes": {
        "spectral_widths": [2, 4],
        "spectral_depth": 1,
        "post_depth": 1,
        "channels": 16,
        "wave_widths": [4, 4],
        "wave_depth": 1,
        "mask_widths": [2, 4],
        "mask_depth": 1,
        "upsample_widths": [4, 4, 4, 4, 4],
        "upsample_bottom": 4,
    }
}
DENOISER = {"width": 8, "hidden": 4, "blocks": 1}


def recipe(name: str, *overrides: str) -> GenerationRecipe:
    found = load_any_recipe(name, ["features.heard=mel", "features.compared=mel", *overrides])
    assert isinstance(found, GenerationRecipe)
    return found


def small_finally(rate: int) -> FinallyGenerator:
    torch.manual_seed(rate)
    return FinallyGenerator.from_arguments(output_rate=rate, feature_width=80, **SMALL_FINALLY)  # type: ignore[arg-type]


def waves(samples: int = 8192) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(2, samples, generator=generator), 0.1 * torch.randn(2, samples, generator=generator)


def save(network: nn.Module, path: Path, *, architecture: str) -> Path:
    card = CheckpointCard(
        name="start", architecture=architecture, arguments={}, sample_rate=16_000, licence="none", run_id="test"
    )
    save_checkpoint(path, network.state_dict(), card=card)
    return path


@pytest.mark.parametrize(
    ("stage", "features", "magnitude", "fooled", "matched"),
    [(1, 100, 1, None, None), (2, 2000, 20, 0.4, 20), (3, 50, 0.5, 5, 15)],
)
def test_stages_weigh_their_losses_as_published(
    stage: int, features: float, magnitude: float, fooled: float | None, matched: float | None
) -> None:
    found = load_any_recipe(f"finally-stage{stage}")

    assert isinstance(found, GenerationRecipe)
    assert (found.losses["speech_features"], found.losses["magnitude"]) == (features, magnitude)
    assert found.features.wavlm_loss_layer == "conv"
    assert found.optimiser.clip_quantile == 1.0
    assert found.loop.batch_size == 32
    if fooled is None:
        assert found.adversary is None
    else:
        assert found.adversary is not None
        assert (found.adversary.generator_weight, found.adversary.feature_weight) == (fooled, matched)
        assert found.adversary.updates == 2


def test_every_recipe_of_generators_takes_its_audio_from_a_corpus() -> None:
    generators = [name for name in list_recipes() if load_any_recipe(name).task == "generation"]

    assert generators == [
        "finally-stage1", "finally-stage2", "finally-stage3", "limpid-studio-stage1", "limpid-studio-stage2",
    ]  # fmt: skip
    assert data_setting("generation") == "data.root"


def test_network_of_the_third_stage_has_the_published_size() -> None:
    found = load_any_recipe("finally-stage3")
    assert isinstance(found, GenerationRecipe)

    class Wide:
        width = 1024

        def __call__(self, wav: torch.Tensor) -> torch.Tensor:
            return wav

    with torch.device("meta"):
        network = build_generator(found.system, features=Wide())

    assert (
        sum(parameter.numel() for parameter in network.parameters()) == 144_397_784 - 226
    )  # the head of 16 kHz, which is built for 16 kHz alone


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mix.segment_samples=5000", "multiple of 1024"),
        ("mix.remix=true", "not for generators"),
        ("loop.select_by=sdr_db", "not measured"),
        ("losses={}", "losses"),
    ],
)
def test_what_does_not_fit_a_generator_is_refused(override: str, message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        recipe("finally-stage1", override)


def test_first_stage_is_lmos() -> None:
    estimate, clean = waves()
    found = recipe("finally-stage1")
    features = lambda wav: wav.unfold(-1, 320, 320)  # noqa: E731

    loss = build_generation_loss(recipe("finally-stage1", "losses={magnitude: 20.0}"), device=CPU)

    assert float(loss(estimate, clean)) == pytest.approx(20 * float(magnitude_distance(estimate, clean)), rel=1e-5)
    assert float(feature_distance(estimate, clean, features=features)) == pytest.approx(
        float((features(estimate) - features(clean)).square().mean()), rel=1e-5
    )
    assert float(build_generation_loss(found, device=CPU)(clean, clean)) == 0


def test_features_and_measures_of_16_khz_hear_the_output_resampled() -> None:
    estimate, clean = waves(3 * 8192)
    wide = recipe("finally-stage3", "losses={speech_features: 1.0}")
    narrow = recipe("finally-stage1", "losses={speech_features: 1.0}")

    at_48_khz = build_generation_loss(wide, device=CPU)(estimate, clean)
    at_16_khz = build_generation_loss(narrow, device=CPU)(decimate(estimate, 3), decimate(clean, 3))

    assert float(at_48_khz) == pytest.approx(float(at_16_khz), rel=1e-5)


def test_unknown_loss_is_named() -> None:
    with pytest.raises(InvalidOptions, match="'lmso'"):
        build_generation_loss(recipe("finally-stage1", "losses={lmso: 1.0}"), device=CPU)


@pytest.mark.parametrize(("name", "hint"), [("utmos", "entry point"), ("pesq", "pip install torch-pesq")])
def test_judge_whose_package_is_absent_says_what_to_do(name: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.generation.quality.find_spec", lambda package: None)

    with pytest.raises(InvalidOptions, match=hint):
        build_generation_loss(recipe("finally-stage3", f"losses={{{name}: 1.0}}"), device=CPU)


def test_installed_package_that_offers_utmos_becomes_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud_judge.py").write_text(
        "def make(device):\n    return lambda wav: 1 + 4 * wav.square().mean(-1).sqrt()\n"
    )
    info = tmp_path / "loud_judge-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud-judge\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[limpid.speech_quality]\nutmos = loud_judge:make\n")
    monkeypatch.syspath_prepend(tmp_path)
    estimate, clean = waves()
    estimate = estimate.requires_grad_()

    loss = build_generation_loss(recipe("finally-stage1", "losses={utmos: 20.0}"), device=CPU)(estimate, clean)
    loss.backward()

    expected = -20 * (1 + 4 * estimate.detach().square().mean(-1).sqrt()).mean()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-5)
    assert estimate.grad is not None
    assert (estimate.grad * estimate.detach()).sum() < 0  # louder is better to this judge


def test_second_stage_starts_from_the_first_and_the_third_adds_an_upsampler_alone(tmp_path: Path) -> None:
    first = small_finally(16_000)
    path = save(first, tmp_path / "first.safetensors", architecture="finally")
    second, third = small_finally(16_000), small_finally(48_000)
    fresh = {key: value.clone() for key, value in third.state_dict().items() if key.startswith("upsample_wave_unet.")}

    load_start(second, path)
    load_start(third, path)

    loaded_second, loaded_third = second.state_dict(), third.state_dict()
    for key, value in first.state_dict().items():
        assert torch.equal(loaded_second[key], value)
        assert torch.equal(loaded_third[key], value)
    for key, value in fresh.items():
        assert torch.equal(loaded_third[key], value)


def test_start_that_lacks_anything_else_is_refused(tmp_path: Path) -> None:
    state = small_finally(16_000).state_dict()
    state.pop("last.bias")
    card = CheckpointCard(
        name="torn", architecture="finally", arguments={}, sample_rate=16_000, licence="none", run_id="test"
    )
    save_checkpoint(tmp_path / "torn.safetensors", state, card=card)

    with pytest.raises(InvalidOptions, match=r"last\.bias"):
        load_start(small_finally(48_000), tmp_path / "torn.safetensors")


def test_weights_at_48_khz_are_no_start_for_16_khz(tmp_path: Path) -> None:
    path = save(small_finally(48_000), tmp_path / "wide.safetensors", architecture="finally")

    with pytest.raises(InvalidOptions, match="upsample_wave_unet"):
        load_start(small_finally(16_000), path)


def test_band_split_generator_starts_from_its_denoiser(tmp_path: Path) -> None:
    torch.manual_seed(5)
    denoiser = BandSplitLstm(**DENOISER)
    path = save(denoiser, tmp_path / "denoiser.safetensors", architecture="band-split-lstm")
    generator = BandSplitGenerator(denoiser=DENOISER, width=8, hidden=4, blocks=1)

    load_start(generator, path)

    noisy, _ = waves()
    with torch.no_grad():
        torch.testing.assert_close(make_forward(None)(generator, noisy), denoiser(noisy), rtol=1e-3, atol=1e-5)


def test_recipe_takes_the_denoiser_of_the_weights_it_starts_from(tmp_path: Path) -> None:
    system = recipe("limpid-studio-stage1").system
    card = CheckpointCard(
        name="d", architecture="band-split-lstm", arguments=DENOISER, sample_rate=16_000, licence="none", run_id="test"
    )
    save_checkpoint(tmp_path / "d.safetensors", BandSplitLstm(**DENOISER).state_dict(), card=card)
    fitted = fit_to_start(system, tmp_path / "d.safetensors")
    network = build_generator(fitted, features=None)

    load_start(network, tmp_path / "d.safetensors")
    next_card = replace(card, architecture="band-split-generator", arguments=card_arguments(network, fitted))
    save_checkpoint(tmp_path / "g.safetensors", network.state_dict(), card=next_card)
    second = fit_to_start(recipe("limpid-studio-stage2").system, tmp_path / "g.safetensors")

    assert fitted.arguments == {**system.arguments, "denoiser": DENOISER}
    assert second.arguments == fitted.arguments
    load_start(build_generator(second, features=None), tmp_path / "g.safetensors")


def test_card_of_a_generator_builds_it_again() -> None:
    system = recipe("finally-stage3").system.model_copy(update={"arguments": SMALL_FINALLY})
    network = small_finally(48_000)

    again = FinallyGenerator.from_arguments(**card_arguments(network, system))  # type: ignore[arg-type]

    assert {key: value.shape for key, value in again.state_dict().items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }


def test_finally_without_features_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="hears speech features"):
        build_generator(recipe("finally-stage1").system, features=None)


def speech(seed: int, samples: int = 32_000) -> np.ndarray:
    """Return (T,): noise whose spectrum moves as syllables do; another seed, another utterance."""
    rng = np.random.default_rng(seed)
    frames = samples // 1600
    spectrum = np.fft.rfft(rng.standard_normal((frames, 1600)), axis=1)
    envelope = np.exp(1.5 * rng.standard_normal((frames, 16)))
    spectrum *= np.repeat(envelope, 51, axis=1)[:, : spectrum.shape[1]]
    return (0.01 * np.fft.irfft(spectrum, 1600, axis=1).ravel()).astype(np.float32)


def test_other_words_are_drift_and_another_level_is_none() -> None:
    assert drifted_share(0.3 * speech(1), speech(1)) == 0
    assert drifted_share(speech(2), speech(1)) > 0.9


def test_report_tells_sound_out_of_silence_from_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.generation.validation.dnsmos.is_installed", lambda: False)
    silent = np.zeros(32_000, np.float32)
    examples = [
        Example(noisy=speech(1), clean=speech(1), snr_db=20.0),
        Example(noisy=3 * speech(2), clean=silent, snr_db=float("-inf")),
    ]
    passing = nn.Linear(1, 1)

    report = validate_generation(
        passing, examples, magnitude_distance, forward=lambda network, noisy: noisy, sample_rate=16_000
    )

    assert isinstance(report, GenerationReport)
    assert report.drifted == 0
    assert report.estoi == pytest.approx(1, abs=1e-3)
    assert np.isnan(report.overall)
    assert np.isfinite(report.perceptual_score)
    assert report.silence_db == pytest.approx(10 * np.log10(np.mean((3 * speech(2)) ** 2)), abs=0.1)
    assert any("nobody speaks" in warning for warning in report.warnings)

"""Whole runs of generators: each of FINALLY's stages learns two clips, resumes exactly, and leads to the next."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from transformers import WavLMModel

from core.enhancement.protocol import SignalStatistics
from core.errors import InvalidOptions, ModelUnavailable
from core.models.band_split_lstm import BandSplitLstm
from core.models.checkpoints import CheckpointCard, load_checkpoint, load_model, save_checkpoint
from core.models.finally_speech.features import WAVLM_FOLDER
from core.models.finally_speech.generator import FinallyGenerator
from tests.small_wavlm import WIDTH, save_small_wavlm
from training.adversary import Adversary
from training.generation.features import open_compared, open_heard
from training.generation.losses import build_generation_loss
from training.generation.networks import build_generator, make_forward
from training.generation.recipe import FeatureSection, GenerationRecipe
from training.generation.run import train_generation
from training.generation.validation import GenerationReport
from training.loop import Trainer
from training.losses.lmos import magnitude_distance
from training.systems import load_checkpoint_engine
from training.tasks import load_any_recipe

SIZES = (
    "{spectral_widths: [2, 4], spectral_depth: 1, post_depth: 1, channels: 16, wave_widths: [8, 8], wave_depth: 1, "
    "mask_widths: [2, 4], mask_depth: 1, upsample_widths: [8, 8, 8, 8, 8], upsample_bottom: 8}"
)
SMALL = [
    f"system.arguments={{sizes: {SIZES}}}",
    "degradation={untouched: 0, codec: 0, silence: 0, impulse_response: 0}",
    "mix.snr_db=[0, 10]",
    "data.validation_fraction=0.3",
    "data.test_fraction=0.3",
    "loop.batch_size=2",
    "loop.accumulate=1",
    "loop.log_every=1",
    "loop.validate_every=1000",
    "validation={examples: 1, segment_s: 1.0}",
    "optimiser.warmup_steps=0",
]
QUICK_JUDGES = [
    "adversary.scales=[256, 128]",
    "adversary.width=4",
    "adversary.optimiser={learning_rate: 1.0e-3, betas: [0.5, 0.999], schedule: constant}",
]


@pytest.fixture(autouse=True)
def _without_dnsmos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of CPU time for each score, which these runs are not about."""
    monkeypatch.setattr("training.generation.validation.dnsmos.is_installed", lambda: False)


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a random WavLM of WavLM-large's structure in small."""
    folder = tmp_path_factory.mktemp("models")
    save_small_wavlm(folder, layers=3)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vowel-like speech and noise at 48 kHz."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    time_s = np.arange(72_000) / 48_000
    for kind in ("speech", "noise", "rir"):
        (root / kind).mkdir()
    for number in range(8):
        pitch_hz = 100 + 20 * number
        voice = sum(np.sin(2 * np.pi * pitch_hz * n * time_s) / n for n in range(1, 30))
        sf.write(root / "speech" / f"{number}.wav", 0.1 * voice * (1 + np.sin(2 * np.pi * 3 * time_s)), 48_000)
        sf.write(root / "noise" / f"{number}.wav", 0.1 * rng.standard_normal(48_000), 48_000)
    sf.write(root / "rir" / "room.wav", np.r_[1.0, np.zeros(300), 0.3], 48_000)
    return root


def stage(number: int, corpus: Path, models_dir: Path, *overrides: str) -> GenerationRecipe:
    """Return the recipe of a stage with small networks on the test's corpus."""
    samples = 3 * 4096 if number == 3 else 4096
    judges = QUICK_JUDGES if number > 1 else []
    found = load_any_recipe(
        f"finally-stage{number}",
        [
            f"data.root={corpus}",
            f"features.models_dir={models_dir}",
            f"mix.segment_samples={samples}",
            *SMALL,
            *judges,
            *(["losses={speech_features: 50.0, magnitude: 0.5}"] if number == 3 else []),
            *overrides,
        ],
    )
    assert isinstance(found, GenerationRecipe)
    return found


def rows_in(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "history.csv").open() as file:
        return list(csv.DictReader(file))


def losses_in(run_dir: Path) -> list[float]:
    return [float(row["loss"]) for row in rows_in(run_dir)]


class OneBatch:
    """Stands in for the mixer: two seconds-long vowels in noise, the same at every step."""

    def __init__(self, recipe: GenerationRecipe) -> None:
        samples, factor = recipe.mix.segment_samples, recipe.factor
        time_s = torch.arange(samples) / recipe.system.sample_rate
        tones = [sum(torch.sin(2 * torch.pi * pitch * n * time_s) / n for n in range(1, 20)) for pitch in (120, 200)]
        self.clean = 0.3 * torch.stack(tones)  # type: ignore[arg-type]
        noise = torch.randn(2, samples // factor, generator=torch.Generator().manual_seed(0))
        self.noisy = self.clean[:, ::factor] + 0.1 * noise

    def batch(self, step: int, batch_size: int, *, rank: int = 0, ranks: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        return self.noisy, self.clean


@pytest.mark.parametrize(("number", "steps"), [(1, 24), (2, 24), (3, 16)])
def test_stage_overfits_a_small_configuration(
    number: int, steps: int, corpus: Path, models_dir: Path, tmp_path: Path
) -> None:
    recipe = stage(number, corpus, models_dir, "optimiser.learning_rate=2e-3", "optimiser.schedule=constant")
    torch.manual_seed(0)
    device = torch.device("cpu")
    heard = open_heard(recipe.features, device=device)
    forward = make_forward(heard)
    batch = OneBatch(recipe)
    trainer: Trainer[GenerationReport] = Trainer(
        build_generator(recipe.system, features=heard),
        batch,
        loss=build_generation_loss(recipe, device=device),
        loop=recipe.loop,
        optimiser=recipe.optimiser,
        forward=forward,
        judge=never_judged,
        run_dir=tmp_path,
        on_best=lambda network, report, step: None,
        adversary=None if recipe.adversary is None else Adversary(recipe.adversary),
    )

    def distance() -> float:
        with torch.no_grad():
            return float(magnitude_distance(forward(trainer.network, batch.noisy), batch.clean))

    before = distance()
    losses = [trainer.train_step()[0] for _ in range(steps)]

    assert np.mean(losses[-3:]) < 0.85 * losses[0]
    assert distance() < 0.95 * before


def never_judged(network: torch.nn.Module) -> GenerationReport:
    raise AssertionError("no validation was asked for")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_resumed_stage_has_the_same_losses_as_one_that_was_never_stopped(
    number: int, corpus: Path, models_dir: Path, tmp_path: Path
) -> None:
    hearing = ["adversary.crop_samples=2048"] if number > 1 else []
    train_generation(stage(number, corpus, models_dir, "loop.steps=4", *hearing), run_dir=tmp_path / "whole")

    train_generation(stage(number, corpus, models_dir, "loop.steps=2", *hearing), run_dir=tmp_path / "parts")
    train_generation(stage(number, corpus, models_dir, "loop.steps=4", *hearing), run_dir=tmp_path / "parts")

    whole, parts = rows_in(tmp_path / "whole"), rows_in(tmp_path / "parts")
    assert [row["loss"] for row in parts] == [row["loss"] for row in whole]
    assert [row.get("discriminator_loss") for row in parts] == [row.get("discriminator_loss") for row in whole]


def test_accumulated_parts_train_as_the_whole_batch_does(corpus: Path, models_dir: Path, tmp_path: Path) -> None:
    settings = ["loop.steps=3", "loop.batch_size=4"]
    train_generation(stage(2, corpus, models_dir, *settings), run_dir=tmp_path / "whole")

    train_generation(stage(2, corpus, models_dir, *settings, "loop.accumulate=2"), run_dir=tmp_path / "parts")

    assert losses_in(tmp_path / "parts") == pytest.approx(losses_in(tmp_path / "whole"), rel=0.02)


def test_each_stage_starts_from_the_one_before(corpus: Path, models_dir: Path, tmp_path: Path) -> None:
    still = ["loop.steps=1", "loop.ema_decay=0", "optimiser.learning_rate=1e-12", "optimiser.schedule=constant"]
    first = train_generation(stage(1, corpus, models_dir, "loop.steps=2"), run_dir=tmp_path / "1")

    second = train_generation(stage(2, corpus, models_dir, *still), run_dir=tmp_path / "2", initial=first.checkpoint)
    third = train_generation(stage(3, corpus, models_dir, *still), run_dir=tmp_path / "3", initial=second.checkpoint)

    start = load_checkpoint(first.checkpoint)[1]
    card, network = load_model(third.checkpoint, architecture="finally", build=FinallyGenerator.from_arguments)
    assert (card.name, card.sample_rate) == ("finally-48k", 48_000)
    for key, value in start.items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=0, atol=1e-6)


def test_folder_of_another_stage_is_not_resumed(corpus: Path, models_dir: Path, tmp_path: Path) -> None:
    train_generation(stage(1, corpus, models_dir, "loop.steps=1"), run_dir=tmp_path)

    with pytest.raises(InvalidOptions, match="no discriminators"):
        train_generation(stage(2, corpus, models_dir, "loop.steps=2"), run_dir=tmp_path)


@pytest.mark.parametrize(
    ("layer", "shape"), [("conv", (1, 8, 24)), ("projected", (1, 24, WIDTH)), ("transformer_1", (1, 24, WIDTH))]
)
def test_loss_compares_the_layer_that_is_asked_for(layer: str, shape: tuple[int, ...], models_dir: Path) -> None:
    section = FeatureSection(compared="wavlm", wavlm_loss_layer=layer, models_dir=models_dir)  # type: ignore[arg-type]
    wav = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    model = WavLMModel.from_pretrained(models_dir / WAVLM_FOLDER).eval()

    found = open_compared(section, device=torch.device("cpu"))(wav)
    found.square().sum().backward()

    assert found.shape == shape
    assert wav.grad is not None
    assert wav.grad.abs().max() > 0
    with torch.no_grad():
        states = model(wav, output_hidden_states=True).hidden_states
        expected = {
            "conv": model.feature_extractor(wav),
            "projected": model.feature_projection(model.feature_extractor(wav).transpose(1, 2))[0],
            "transformer_1": states[1],
        }[layer]
    torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=1e-5)


def test_stage_without_wavlm_says_what_is_missing(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="wavlm-large"):
        train_generation(stage(1, corpus, tmp_path, "loop.steps=1"), run_dir=tmp_path / "run")


def test_small_generator_trains_behind_its_denoiser_and_becomes_an_engine(corpus: Path, tmp_path: Path) -> None:
    arguments = {"width": 8, "hidden": 4, "blocks": 1}
    torch.manual_seed(0)
    denoiser = BandSplitLstm(**arguments)
    card = CheckpointCard(
        name="d", architecture="band-split-lstm", arguments=arguments, sample_rate=16_000, licence="none", run_id="t"
    )
    save_checkpoint(tmp_path / "d.safetensors", denoiser.state_dict(), card=card)
    small = [
        f"data.root={corpus}", "system.arguments={width: 8, hidden: 4, blocks: 1}", "mix.segment_samples=8192",
        "mix.noises={recorded: 1.0}", "degradation.codec=0", "degradation.silence=0", "loop.precision=float32",
        "loop.steps=1", "loop.batch_size=1", "validation={examples: 1, segment_s: 1.0}", "data.validation_fraction=0.3",
        "data.test_fraction=0.3", "losses={speech_features: 0.03, magnitude: 0.1}",
    ]  # fmt: skip

    start = tmp_path / "d.safetensors"
    for number in (1, 2):
        recipe = load_any_recipe(f"limpid-studio-stage{number}", [*small, *(QUICK_JUDGES if number == 2 else [])])
        assert isinstance(recipe, GenerationRecipe)
        start = train_generation(recipe, run_dir=tmp_path / str(number), initial=start).checkpoint
    engine = load_checkpoint_engine(start)
    wav = 0.1 * np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    statistics = SignalStatistics(samples=8000, mean=0.0, std=float(wav.std()), peak=float(np.abs(wav).max()))
    estimate = engine.enhance(wav, 16_000, statistics=statistics)

    kept = load_checkpoint(start)[1]
    assert estimate.shape == (1, 1, 8000)
    assert np.isfinite(estimate).all()
    for key, value in denoiser.state_dict().items():
        torch.testing.assert_close(kept[f"denoiser.{key}"], value, rtol=0, atol=0)

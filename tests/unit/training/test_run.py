"""A whole run on a corpus of a few generated clips: what it leaves behind, and that it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from core.errors import InvalidOptions
from core.models.checkpoints import load_model
from core.models.mask_cnn import MaskCnn
from training.evaluation import FileResult
from training.listening import ListeningFolder
from training.pairs import read_pairs
from training.recipe import Recipe, load_recipe
from training.run import train_recipe

QUICK = [
    "system.arguments={channels: [2, 2]}",
    "mix.segment_samples=4096",
    "loop.batch_size=1",
    "loop.steps=2",
    "loop.log_every=1",
    "loop.validate_every=2",
    "validation.examples=1",
    "validation.segment_s=1.0",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for kind, count, samples in [("speech", 12, 24000), ("noise", 12, 16000), ("music", 1, 16000), ("rir", 1, 400)]:
        (root / kind).mkdir()
        for number in range(count):
            sf.write(root / kind / f"{number}.wav", 0.1 * rng.standard_normal(samples), 16000)
    return root


def quick_recipe(corpus: Path, *overrides: str) -> Recipe:
    fractions = ["data.validation_fraction=0.3", "data.test_fraction=0.3"]
    return load_recipe("cnn-mask", [f"data.root={corpus}", *fractions, *QUICK, *overrides])


def test_run_leaves_checkpoint_figures_and_pictures_and_resumes(corpus: Path, tmp_path: Path) -> None:
    result = train_recipe(quick_recipe(corpus), run_dir=tmp_path)

    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {
        "cnn-mask.json", "cnn-mask.safetensors", "curves.png", "history.csv", "recipe.yaml", "spectrogram_01.png",
        "state.pt", "test.json", "validations.csv",
    }  # fmt: skip
    card, _ = load_model(result.checkpoint, architecture="mask-cnn", build=MaskCnn)
    assert card.metrics["step"] == 2
    assert json.loads((tmp_path / "test.json").read_bytes())["loss"] == result.test.loss

    longer = train_recipe(quick_recipe(corpus, "loop.steps=3"), run_dir=tmp_path)

    assert longer.steps == 3
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + 3


def test_run_that_an_older_version_began_is_resumed_with_the_measures_of_today(corpus: Path, tmp_path: Path) -> None:
    train_recipe(quick_recipe(corpus), run_dir=tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for row in state["validation_rows"]:
        del row["estoi"]
    torch.save(state, tmp_path / "state.pt")

    train_recipe(quick_recipe(corpus, "loop.steps=4"), run_dir=tmp_path)

    heading, first, last = (tmp_path / "validations.csv").read_text().splitlines()
    assert "estoi" in heading.split(",")
    assert first.endswith(",")
    assert not last.endswith(",")


def test_fine_tuning_starts_from_the_given_weights(corpus: Path, tmp_path: Path) -> None:
    first = train_recipe(quick_recipe(corpus), run_dir=tmp_path / "first")
    _, start = load_model(first.checkpoint, architecture="mask-cnn", build=MaskCnn)

    frozen = quick_recipe(corpus, "loop.freeze=['*']", "loop.ema_decay=0", "loop.steps=1", "optimiser.weight_decay=0")
    with pytest.raises(InvalidOptions, match="freezes every parameter"):
        train_recipe(frozen, run_dir=tmp_path / "frozen", initial=first.checkpoint)
    partly = quick_recipe(corpus, "loop.freeze=['layers.0.*']", "loop.steps=1")
    second = train_recipe(partly, run_dir=tmp_path / "second", initial=first.checkpoint)

    _, end = load_model(second.checkpoint, architecture="mask-cnn", build=MaskCnn)
    torch.testing.assert_close(
        end.state_dict()["layers.0.weight"], start.state_dict()["layers.0.weight"], rtol=0, atol=0
    )


def test_run_without_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match=r"data\.root"):
        train_recipe(load_recipe("cnn-mask"), run_dir=tmp_path)


def test_listening_folder_holds_audio_and_a_picture_of_every_recording(tmp_path: Path) -> None:
    (tmp_path / "data" / "noisy").mkdir(parents=True)
    wav = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    sf.write(tmp_path / "data" / "noisy" / "a.wav", wav, 16000)
    folder = ListeningFolder(tmp_path / "page")
    pairs = read_pairs(tmp_path / "data")
    result = FileResult(name="a", kind="pair", snr_db=None, duration_s=1.0, before={}, after={}, rtf=0.1)

    folder.add_output("loud", result, 100 * wav)
    folder.finish(pairs, ["loud"])

    assert {str(path.relative_to(tmp_path / "page")) for path in (tmp_path / "page").rglob("*.*")} == {
        "audio/loud/a.wav", "audio/noisy/a.wav", "pictures/a.png",
    }  # fmt: skip
    assert np.abs(sf.read(tmp_path / "page" / "audio" / "loud" / "a.wav")[0]).max() <= 1.0

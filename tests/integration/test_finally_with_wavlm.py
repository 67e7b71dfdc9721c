"""FINALLY from files: a checkpoint of the public unofficial code, converted, with a small WavLM of `transformers`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WavLMModel

from core.enhancement.finally_speech import FinallyEnhancer
from core.enhancement.protocol import SignalStatistics
from core.errors import ModelUnavailable
from core.models.finally_speech.features import WAVLM_FOLDER, load_features
from core.models.finally_speech.generator import FinallyGenerator
from core.models.finally_speech.released import COMPONENTS, convert_checkpoint
from tests.small_wavlm import WIDTH, save_small_wavlm

ARGUMENTS = {
    "feature_width": WIDTH,
    "sizes": {
        "spectral_widths": [2, 4],
        "spectral_depth": 1,
        "post_depth": 1,
        "channels": 16,
        "wave_widths": [4, 4],
        "wave_depth": 1,
        "mask_widths": [2, 4],
        "mask_depth": 1,
    },
}


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WavLMModel]:
    """A models folder and the random model in it, which has WavLM-large's structure in small."""
    folder = tmp_path_factory.mktemp("models")
    model = save_small_wavlm(folder, layers=2)
    return folder, model


@torch.no_grad()
def test_wavlm_from_its_folder_gives_the_last_hidden_states(wavlm: tuple[Path, WavLMModel]) -> None:
    models_dir, model = wavlm
    wav = torch.randn(2, 65_536, generator=torch.Generator().manual_seed(1))

    features = load_features(models_dir)
    states = features(wav)

    assert states.shape == (2, WIDTH, 204)
    assert torch.allclose(states, model(wav).last_hidden_state.transpose(1, 2), atol=1e-5)


def test_other_files_in_its_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / WAVLM_FOLDER).mkdir()
    (tmp_path / WAVLM_FOLDER / "config.json").write_text("{}")

    with pytest.raises(ModelUnavailable, match="no WavLM"):
        load_features(tmp_path)


def test_weights_of_the_unofficial_code_run_as_an_engine(wavlm: tuple[Path, WavLMModel], tmp_path: Path) -> None:
    models_dir, _ = wavlm
    network = FinallyGenerator.from_arguments(output_rate=16000, **ARGUMENTS)
    names = {ours: theirs for theirs, ours in COMPONENTS.items()} | {"last": "conv_post"}
    parts = {key: key.partition(".") for key in network.state_dict()}
    state = {f"{names[parts[key][0]]}.{parts[key][2]}": tensor for key, tensor in network.state_dict().items()}
    torch.save({"state_dict": state, "optimizer_state_dict": {}}, tmp_path / "theirs.pth")
    own = tmp_path / "mine.safetensors"
    convert_checkpoint(tmp_path / "theirs.pth", name="mine", target=own, licence="mine", arguments=ARGUMENTS)

    engine = FinallyEnhancer.from_checkpoint(own, models_dir=models_dir)
    wav = (0.1 * np.random.default_rng(0).standard_normal((1, 20_000))).astype(np.float32)
    statistics = SignalStatistics(samples=20_000, mean=0.0, std=0.1, peak=float(np.abs(wav).max()))
    estimate = engine.enhance(wav, 16_000, statistics=statistics)

    assert estimate.shape == (1, 1, 20_000)
    assert 0 < np.abs(estimate).max() <= statistics.peak

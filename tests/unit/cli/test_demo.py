"""The demo's recording and its comparison."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import SecretStr

from cli.demo import compare, key_for
from cli.errors import CommandError
from core.access.keys import Scope, authenticate
from core.access.keys_sql import SqlKeyRepository
from core.database import create_engine_for
from core.settings import Settings

SAMPLE_RATE = 16_000


def bundled(name: str) -> np.ndarray:
    with importlib.resources.as_file(importlib.resources.files("cli.recordings") / name) as path:
        wav, sample_rate = soundfile.read(path, dtype="float64")
    assert sample_rate == SAMPLE_RATE
    return wav


def test_bundled_recording_has_five_db_snr_and_its_exact_reference() -> None:
    clean, noisy = bundled("clean.flac"), bundled("noisy.flac")

    snr_db = 10 * np.log10(np.sum(clean**2) / np.sum((noisy - clean) ** 2))

    assert clean.shape == noisy.shape
    assert snr_db == pytest.approx(5.0, abs=0.01)


def test_less_noise_is_a_better_figure_and_spectrograms_are_drawn(tmp_path: Path) -> None:
    clean, noisy = bundled("clean.flac"), bundled("noisy.flac")
    half_noise = clean + 0.5 * (noisy - clean)
    for name, wav in (("clean", clean), ("noisy", noisy), ("enhanced", half_noise)):
        soundfile.write(tmp_path / f"{name}.wav", wav, SAMPLE_RATE, subtype="FLOAT")

    figures = compare(
        tmp_path / "clean.wav", tmp_path / "noisy.wav", tmp_path / "enhanced.wav", picture=tmp_path / "figure.png"
    )

    gain_db = figures["enhanced"]["si_sdr_db"] - figures["noisy"]["si_sdr_db"]
    assert gain_db == pytest.approx(20 * np.log10(2), abs=0.1)
    assert figures["noisy"]["stoi"] < figures["enhanced"]["stoi"] < 1
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_enhanced_file_of_another_length_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(scale=0.1, size=SAMPLE_RATE)
    for name, wav in (("clean", noise), ("noisy", noise), ("enhanced", noise[:-1])):
        soundfile.write(tmp_path / f"{name}.wav", wav, SAMPLE_RATE)

    with pytest.raises(CommandError, match="15999 samples"):
        compare(tmp_path / "clean.wav", tmp_path / "noisy.wav", tmp_path / "enhanced.wav", picture=tmp_path / "x.png")


def test_demo_makes_itself_a_key_where_the_environment_asks_for_keys(tmp_path: Path, sqlite_database: str) -> None:
    settings = Settings(data_dir=tmp_path, database_url=SecretStr(sqlite_database), auth="on")

    token = key_for(settings)

    engine = create_engine_for(settings)
    assert token is not None
    caller = authenticate(token, keys=SqlKeyRepository(engine))
    engine.dispose()
    assert caller.may(Scope.SUBMIT)
    assert caller.may(Scope.READ)
    assert not caller.is_admin
    assert key_for(settings.model_copy(update={"auth": "off"})) is None

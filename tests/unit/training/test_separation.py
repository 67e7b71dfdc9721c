"""Separation: the measures have known values, the guards speak, the recipe is that of the released network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import InvalidOptions
from tests.unit.training.stem_data import drums, organ, small_recipe, write_tracks
from training.losses.waveform import l1_loss
from training.separation.bss_eval import score_stems
from training.separation.mixing import StemExample
from training.separation.run import train_separation
from training.separation.validation import validate_separation


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def noise_stems(*, seed: int = 0) -> np.ndarray:
    """Two unrelated stems (2, 1, T) of unit power."""
    return np.random.default_rng(seed).standard_normal((2, 1, 12000)).astype(np.float32)


def test_scores_tell_interference_from_artifacts() -> None:
    stems = noise_stems()
    artifacts = np.random.default_rng(9).standard_normal(stems.shape).astype(np.float32)

    leaking = score_stems(stems + 0.1 * stems[::-1], stems)
    grainy = score_stems(stems + 0.1 * artifacts, stems)

    np.testing.assert_allclose(leaking.sdr_db, 20.0, atol=0.5)
    np.testing.assert_allclose(leaking.sir_db, 20.0, atol=0.5)
    assert leaking.sar_db.min() > 40
    np.testing.assert_allclose(grainy.sar_db, 20.0, atol=0.7)
    assert grainy.sir_db.min() > 28
    np.testing.assert_allclose(grainy.sdr_db, 20.0, atol=0.7)


def test_silent_reference_has_no_score_and_silent_estimate_the_worst() -> None:
    stems = noise_stems()
    without_second = stems * np.array([1.0, 0.0], np.float32)[:, np.newaxis, np.newaxis]

    of_one = score_stems(stems, without_second)
    of_silence = score_stems(without_second, stems)

    assert np.isfinite(of_one.sdr_db[0])
    assert np.isnan(of_one.sdr_db[1])
    assert np.isnan(of_one.sir_db).all()  # nothing there to interfere
    assert of_silence.sdr_db[0] > 50
    assert of_silence.sdr_db[1] == -100


def test_scores_do_not_depend_on_the_number_of_threads(two_threads: None) -> None:
    stems = noise_stems()

    leaking = score_stems(stems + 0.1 * stems[::-1], stems)

    np.testing.assert_allclose(leaking.sdr_db, 20.0, atol=0.5)
    assert torch.get_num_threads() == 2


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        score_stems(noise_stems(), noise_stems()[:1])


class MixAsStems(torch.nn.Module):
    """Gives a share of the mix as every stem: (B, C, T) -> (B, 2, C, T)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = torch.nn.Parameter(torch.tensor(share))

    def forward(self, mixes: torch.Tensor) -> torch.Tensor:
        return (self.share * mixes).unsqueeze(1).expand(-1, 2, -1, -1)


@pytest.mark.parametrize(("share", "guards"), [(0.5, 1), (0.05, 2)])
def test_network_that_takes_nothing_apart_is_called_so(share: float, guards: int) -> None:
    stems = np.stack([drums(1.0).T, organ(1.0).T]).astype(np.float32)

    report = validate_separation(
        MixAsStems(share), examples=[StemExample(mix=stems.sum(axis=0), stems=stems)], loss=l1_loss, sources=("a", "b")
    )

    assert report.sdr_gain_db == pytest.approx(0, abs=0.01)
    assert report.as_dict()["a_sdr_db"] == pytest.approx(report.stems["a"]["sdr_db"])
    assert report.score("sdr_db") == report.sdr_db
    assert len(report.warnings) == guards
    assert report.warnings[0].startswith("does next to nothing")


def test_run_without_tracks_or_with_unfit_arguments_is_refused(tmp_path: Path) -> None:
    root = write_tracks(tmp_path / "tracks", seconds=1.0)

    with pytest.raises(InvalidOptions, match=r"stems\.root=FOLDER"):
        train_separation(small_recipe(tmp_path / "none"), run_dir=tmp_path / "run")
    with pytest.raises(InvalidOptions, match=r"system\.arguments"):
        train_separation(small_recipe(root, system={"arguments": {"chanels": 4}}), run_dir=tmp_path / "run")


def test_loss_with_bands_of_another_rate_is_refused(tmp_path: Path) -> None:
    write_tracks(tmp_path / "tracks")
    recipe = small_recipe(tmp_path / "tracks").model_copy(update={"losses": {"estoi": 1.0}})

    with pytest.raises(InvalidOptions, match="are of 16000 Hz"):
        train_separation(recipe, run_dir=tmp_path / "run")

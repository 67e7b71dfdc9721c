"""Examples of stems: sums that add up, reproducible by index, changed as the recipe asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.training.stem_data import SAMPLE_RATE, SOURCES, write_tracks
from training.rooms import draw_room
from training.separation.mixing import StemMixer
from training.separation.recipe import StemMixSection
from training.separation.tracks import StemPool, find_tracks, load_tracks

EVERYTHING: dict[str, Any] = {
    "remix": 0.5, "gain_db": (-6, 2), "swap_channels": 0.5, "flip_polarity": 0.5, "pitch": 0.5, "stretch": 0.5,
    "equaliser": 0.5, "reverb": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> StemPool:
    root = write_tracks(tmp_path_factory.mktemp("tracks"), count=3)
    return load_tracks(find_tracks(root, SOURCES), sample_rate=SAMPLE_RATE, cache=root / "cache")


def make_mixer(pool: StemPool, *, seed: int = 0, **settings: Any) -> StemMixer:  # noqa: ANN401 - any recipe setting
    config = StemMixSection(**{"segment_s": 1.0, **settings})
    return StemMixer(pool, config, sources=2, sample_rate=SAMPLE_RATE, seed=seed)


def organ_frequency(stem: np.ndarray) -> float:
    """The strongest frequency of a source (2, T), in Hz."""
    spectrum = np.abs(np.fft.rfft(stem[0, 1000:-1000] * np.hanning(stem.shape[1] - 2000), 1 << 17))
    return float(np.argmax(spectrum) * SAMPLE_RATE / (1 << 17))


def test_plain_example_is_a_crop_of_one_track_and_its_sum(pool: StemPool) -> None:
    example = make_mixer(pool).example(0)

    assert example.stems.shape == (2, 2, SAMPLE_RATE)
    np.testing.assert_allclose(example.mix, example.stems.sum(axis=0), atol=1e-6)
    crop = example.stems[0, 0]
    errors = []
    for track in range(3):
        whole = pool.read(track)[0, 0]
        start = int(np.argmax(np.correlate(whole, crop, "valid")))
        errors.append(float(np.abs(whole[start : start + SAMPLE_RATE] - crop).max()))
    assert min(errors) < 1e-6


def test_changed_example_still_adds_up_within_full_scale(pool: StemPool) -> None:
    mixer = make_mixer(pool, **EVERYTHING | {"gain_db": (10, 12)})

    for index in range(4):
        example = mixer.example(index)
        np.testing.assert_allclose(example.mix, example.stems.sum(axis=0), atol=1e-5)
        assert np.abs(example.mix).max() <= 1 + 1e-6


def test_example_depends_on_seed_and_index_alone(pool: StemPool) -> None:
    mixer = make_mixer(pool, **EVERYTHING)
    later = mixer.example(5)
    mixer.example(1)

    np.testing.assert_array_equal(make_mixer(pool, **EVERYTHING).example(5).stems, later.stems)
    assert not np.array_equal(make_mixer(pool, seed=1, **EVERYTHING).example(5).mix, later.mix)


def test_parts_of_a_batch_make_up_the_whole(pool: StemPool) -> None:
    mixer = make_mixer(pool)
    mixes, stems = mixer.batch(1, 4)

    assert mixes.shape == (4, 2, SAMPLE_RATE)
    assert stems.shape == (4, 2, 2, SAMPLE_RATE)
    np.testing.assert_array_equal(mixes[1::2], mixer.batch(1, 4, rank=1, ranks=2)[0])


def test_pitch_of_a_track_moves_by_the_semitones(pool: StemPool) -> None:
    mixer = make_mixer(pool, pitch=1.0, pitch_semitones=(2, 2))

    frequency_hz = organ_frequency(mixer.example(0).stems[1])

    originals = np.array([220.0, 264.0, 308.0])
    assert np.abs(frequency_hz / originals - 2 ** (2 / 12)).min() < 2e-3


def test_stretched_track_keeps_its_pitch_and_changes_its_tempo(pool: StemPool) -> None:
    example = make_mixer(pool, stretch=1.0, stretch_tempo=(0.8, 0.8)).example(0)

    assert np.abs(organ_frequency(example.stems[1]) / np.array([220.0, 264.0, 308.0]) - 1).min() < 2e-3
    envelope = np.convolve(np.square(example.stems[0]).sum(axis=0), np.ones(200), "same")
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean(), 1 << 15))
    assert np.argmax(spectrum) * SAMPLE_RATE / (1 << 15) == pytest.approx(4 * 0.8, abs=0.3)


def test_remixed_sources_come_from_different_tracks(pool: StemPool) -> None:
    mixer = make_mixer(pool, remix=1.0)
    own_drums = [pool.read(track)[0, 0] for track in range(3)]

    def track_of(drums: np.ndarray) -> int:
        return int(np.argmax([np.correlate(own, drums[:4000], "valid").max() for own in own_drums]))

    pairs = set()
    for index in range(8):
        stems = mixer.example(index).stems
        organ = int(np.argmin(np.abs(organ_frequency(stems[1]) / np.array([220.0, 264.0, 308.0]) - 1)))
        pairs.add(track_of(stems[0, 0]) == organ)

    assert pairs == {True, False}


def test_room_begins_with_the_direct_sound_and_decays_in_its_time() -> None:
    room = draw_room(np.random.default_rng(0), channels=2, decay_s=0.5, level_db=-12.0, sample_rate=SAMPLE_RATE)

    assert room.shape == (2, 4000)
    np.testing.assert_array_equal(room[:, 0], 1.0)
    tail = room[:, 1:]
    np.testing.assert_allclose(10 * np.log10(np.square(tail).sum(axis=1)), -12.0, atol=0.01)
    level_db = [10 * np.log10(np.square(tail[:, a : a + 400]).mean()) for a in (400, 3200)]
    assert level_db[1] - level_db[0] == pytest.approx(-60 * 2800 / 4000, abs=2.0)

"""Mixtures: exact SNR, reproducible by index, and of the level and target that the recipe asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.errors import InvalidOptions
from training.datasets import AudioPool, Kind
from training.mixing import Mixer, mix_at_snr
from training.recipe import MixSection

SAMPLE_RATE = 16000


def make_pool(*durations: int, seed: int = 0) -> AudioPool:
    rng = np.random.default_rng(seed)
    samples = (rng.standard_normal(sum(durations)) * 3000).clip(-32767, 32767).astype(np.int16)
    stops = np.cumsum(durations)
    return AudioPool(samples, list(zip(stops - durations, stops, strict=True)))


def make_mixer(*, seed: int = 0, **settings: Any) -> Mixer:  # noqa: ANN401 - any recipe setting
    impulse = np.zeros(2000, np.int16)
    impulse[[0, 1600]] = [32767, 16000]
    pools: dict[Kind, AudioPool] = {
        "speech": make_pool(20000, 30000),
        "noise": make_pool(5000, 40000, seed=1),
        "music": make_pool(20000, seed=2),
        "rir": AudioPool(impulse, [(0, 2000)]),
    }
    config = MixSection(**{"segment_samples": 8000, **settings})
    return Mixer(pools, config, sample_rate=SAMPLE_RATE, seed=seed)


def test_kind_of_clip_that_the_corpus_lacks_is_named() -> None:
    mixer = Mixer({"speech": make_pool(20000)}, MixSection(segment_samples=8000), sample_rate=SAMPLE_RATE, seed=0)

    with pytest.raises(InvalidOptions, match="'noise'"):
        mixer.example(0)


def snr_of(speech: np.ndarray, noise: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(speech, dtype=float)) / np.mean(np.square(noise, dtype=float))))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0, 10.0])
def test_noise_is_scaled_to_the_exact_snr(snr_db: float) -> None:
    rng = np.random.default_rng(0)
    speech, noise = rng.standard_normal((2, 5000)).astype(np.float32)

    assert snr_of(speech, mix_at_snr(speech, noise * 7, snr_db)) == pytest.approx(snr_db, abs=1e-4)


@pytest.mark.parametrize("silent", ["speech", "noise"])
def test_silence_on_either_side_leaves_the_noise_finite(silent: str) -> None:
    noise = np.full(100, 0.0 if silent == "noise" else 0.1, np.float32)
    speech = np.full(100, 0.0 if silent == "speech" else 0.1, np.float32)

    np.testing.assert_array_equal(mix_at_snr(speech, noise, 5.0), noise)


@pytest.mark.parametrize("kind", ["recorded", "shaped", "babble", "music", "record"])
def test_examples_of_every_noise_kind_have_the_snr_they_state(kind: str) -> None:
    mixer = make_mixer(noises={kind: 1.0}, layers=2, snr_db=(-5, 20), noise_speed=(0.8, 1.2))

    for index in range(4):
        example = mixer.example(index)

        assert snr_of(example.clean, example.noisy - example.clean) == pytest.approx(example.snr_db, abs=0.05)
        assert -5 <= example.snr_db <= 20


def test_snr_choices_replace_the_range() -> None:
    mixer = make_mixer(snr_choices_db=(-5, 0, 5, 10))

    assert {mixer.example(index).snr_db for index in range(40)} == {-5, 0, 5, 10}


def test_example_depends_on_seed_and_index_alone() -> None:
    settings: dict[str, Any] = {"reverb": 0.5, "high_shelf_db": 6.0, "speech_speed": (0.9, 1.1)}
    mixer = make_mixer(**settings)
    later = mixer.example(7)
    mixer.example(3)

    np.testing.assert_array_equal(make_mixer(**settings).example(7).noisy, later.noisy)
    assert not np.array_equal(make_mixer(seed=1, **settings).example(7).noisy, later.noisy)
    assert not np.array_equal(mixer.example(8).noisy, later.noisy)


def test_batches_walk_through_the_examples() -> None:
    mixer = make_mixer()

    noisy, clean = mixer.batch(2, 3)

    assert noisy.shape == clean.shape == (3, 8000)
    np.testing.assert_array_equal(noisy[1].numpy(), mixer.example(7).noisy)


def test_level_lies_in_the_range_and_the_peak_below_full_scale() -> None:
    mixer = make_mixer(level_db=(-30, 0))

    for index in range(20):
        noisy = mixer.example(index).noisy
        level_db = 10 * np.log10(np.mean(np.square(noisy, dtype=float)))
        assert -30.01 <= level_db <= 0.01
        assert np.abs(noisy).max() <= 1 + 1e-6


def test_both_polarities_occur() -> None:
    speech_sum_signs = set()
    reference = make_mixer(near_clean=1.0, near_clean_snr_db=(90, 90))
    for index in range(20):
        example = reference.example(index)
        speech_sum_signs.add(bool(example.clean[np.argmax(np.abs(example.clean))] > 0))

    assert speech_sum_signs == {True, False}


def test_clip_shorter_than_the_segment_is_placed_in_silence_or_repeated() -> None:
    mixer = make_mixer(segment_samples=64000, near_clean=1.0, near_clean_snr_db=(90, 90))

    example = mixer.example(0)

    assert np.mean(np.abs(example.clean) < 1e-7) > 0.4
    assert example.noisy.shape == (64000,)


def test_reverberant_target_keeps_early_reflections_only() -> None:
    dry = make_mixer(near_clean=1.0, near_clean_snr_db=(90, 90), level_db=(-20, -20))
    wet = make_mixer(near_clean=1.0, near_clean_snr_db=(90, 90), level_db=(-20, -20), reverb=1.0)

    example = wet.example(0)

    # The room's second tap comes after 100 ms, so the target is the direct sound and misses the tap.
    late = example.noisy - example.clean
    lagged = np.correlate(late[1600:], example.clean[: len(late) - 1600])[0] / np.dot(example.clean, example.clean)
    assert lagged == pytest.approx(16000 / 32767, rel=0.25)
    assert snr_of(dry.example(0).clean, dry.example(0).noisy - dry.example(0).clean) == pytest.approx(90, abs=1.0)


def test_clipped_mixture_keeps_an_unclipped_target() -> None:
    example = make_mixer(clipping=1.0, near_clean=1.0, near_clean_snr_db=(90, 90)).example(0)

    ceiling = np.abs(example.noisy).max()
    assert np.sum(np.abs(example.noisy) > 0.999 * ceiling) > 10
    assert np.abs(example.clean).max() > 1.05 * ceiling


def test_band_limit_holds_for_mixture_and_target() -> None:
    example = make_mixer(band_limit=1.0).example(0)

    for wav in (example.noisy, example.clean):
        power = np.square(np.abs(np.fft.rfft(wav)))
        frequencies = np.fft.rfftfreq(len(wav), 1 / SAMPLE_RATE)
        assert power[frequencies > 7500].mean() < 1e-2 * power[(frequencies > 500) & (frequencies < 2500)].mean()


# Taken before there were codecs, remix and the rest: what runs were begun with must come out again when they resume.
FINGERPRINT = (
    "-833 -5.27e+03 2.26e+04 9.32e+03 669 -205 -4.14e+04 -6.3e+03 -1.69e+03 "
    "3.73e+04 -2.65e+03 3.06e+04 4.55e+03 9.07e+03 -2.98e+03 2.79e+04 7.6e+03 8.68e+03"
)


def fingerprint(mixer: Mixer) -> str:
    """Of ten examples and a batch, to what any machine's rounding leaves of them."""
    noisy, clean = mixer.batch(3, 4)
    wavs = [*(mixer.example(index).noisy for index in range(10)), *noisy.numpy(), *clean.numpy()]
    return " ".join(f"{float(np.dot(wav, np.arange(len(wav)))):.3g}" for wav in wavs)


def test_recipe_without_the_newer_keys_mixes_what_it_always_mixed() -> None:
    settings: dict[str, Any] = {
        "reverb": 0.3, "high_shelf_db": 6.0, "speech_speed": (0.9, 1.1), "noise_speed": (0.8, 1.2), "clipping": 0.3,
        "band_limit": 0.3, "near_clean": 0.2, "layers": 2,
        "noises": {"recorded": 1.0, "shaped": 1.0, "babble": 1.0, "music": 1.0, "record": 1.0},
    }  # fmt: skip

    assert fingerprint(make_mixer(**settings)) == FINGERPRINT


def test_codec_changes_the_mixture_and_not_the_target() -> None:
    settings: dict[str, Any] = {"near_clean": 1.0, "near_clean_snr_db": (90, 90)}
    coded = make_mixer(codec=1.0, codecs=("mp3",), codec_kbps=(24, 24), **settings).example(0)

    error_db = -snr_of(coded.clean, coded.noisy - coded.clean)
    assert -30 < error_db < 3
    plain = make_mixer(**settings).example(0).clean
    norms = np.linalg.norm(plain) * np.linalg.norm(coded.clean)
    assert abs(np.dot(plain, coded.clean)) / norms == pytest.approx(1, abs=1e-4)  # but for its level and sign


def test_band_mask_takes_the_same_band_from_mixture_and_target() -> None:
    noisy, clean = make_mixer(band_mask=0.5, segment_samples=32000).batch(0, 2)

    depths = []
    for wav in (noisy[0], clean[0]):
        power_db = 10 * np.log10(np.abs(np.fft.rfft(wav.numpy())) ** 2 + 1e-12)
        depths.append(power_db.reshape(-1)[:16000].reshape(100, -1).mean(axis=1))
    holes = [np.flatnonzero(depth < np.median(depth) - 20) for depth in depths]
    assert len(holes[0]) > 0
    np.testing.assert_array_equal(*holes)


def test_remix_keeps_the_speech_and_the_noises_of_a_batch() -> None:
    plain_noisy, clean = make_mixer().batch(1, 4)
    mixed_noisy, same = make_mixer(remix=True).batch(1, 4)

    np.testing.assert_array_equal(clean, same)
    noises, mixed = (plain_noisy - clean).numpy(), (mixed_noisy - clean).numpy()
    partners = [int(np.argmin(np.abs(noises - noise).max(axis=1))) for noise in mixed]
    assert sorted(partners) == [0, 1, 2, 3]
    assert partners != [0, 1, 2, 3]


def test_shift_cuts_mixture_and_target_at_the_same_place() -> None:
    noisy, clean = make_mixer().batch(1, 4)
    shifted_noisy, shifted_clean = make_mixer(shift_samples=1000).batch(1, 4)

    assert shifted_noisy.shape == (4, 7000)
    places = []
    for item in range(4):
        lags = np.correlate(clean[item].numpy(), shifted_clean[item].numpy(), mode="valid")
        places.append(int(np.argmax(lags)))
        np.testing.assert_array_equal(shifted_noisy[item], noisy[item, places[-1] : places[-1] + 7000])
    assert len(set(places)) > 1


def test_changed_pitch_and_tempo_leave_the_length_and_the_snr() -> None:
    mixer = make_mixer(pitch=1.0, stretch=1.0, equaliser=1.0, segment_samples=10000)

    for index in range(3):
        example = mixer.example(index)
        assert example.noisy.shape == (10000,)
        assert snr_of(example.clean, example.noisy - example.clean) == pytest.approx(example.snr_db, abs=0.05)


def test_parts_of_a_batch_make_up_the_whole() -> None:
    mixer = make_mixer()
    whole, _ = mixer.batch(2, 4)
    parts = [mixer.batch(2, 4, rank=rank, ranks=2)[0] for rank in range(2)]

    np.testing.assert_array_equal(whole[0::2], parts[0])
    np.testing.assert_array_equal(whole[1::2], parts[1])


def test_shift_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="shift_samples 8000 leaves nothing of 8000"):
        MixSection(segment_samples=8000, shift_samples=8000)

"""The guard with a generator double that says something else, on the recorded sentence that comes with the CLI."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.segments import SegmentPlan, split_segments
from core.enhancement.drift import DriftLimits, has_drifted, pitch_difference_semitones
from core.enhancement.drift_guard import DriftGuard, fallback_weights
from core.enhancement.pipeline import run_pipeline
from core.enhancement.protocol import EnhancerInfo, FloatArray, ProgressCallback, SignalStatistics
from core.options import resolve_options

SAMPLE_RATE = 16_000
PLAN = SegmentPlan(segment_samples=3 * SAMPLE_RATE, context_samples=8000, crossfade_samples=8000)

Change = Callable[[FloatArray], FloatArray]


class Engine:
    """Applies `change` to what it is given."""

    def __init__(
        self, change: Change, *, name: str, sample_rate: int = SAMPLE_RATE, stems: tuple[str, ...] = ("enhanced",)
    ) -> None:
        self.change = change
        self.info = EnhancerInfo(
            name=name,
            sample_rate=sample_rate,
            channels=1,
            stems=stems,
            segment=PLAN,
            weights_sha256=None,
            licence="none",
        )

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        return self.change(wav)[np.newaxis]


@pytest.fixture(scope="module")
def speech() -> FloatArray:
    """The sentence (1, T), 8.3 s."""
    with files("cli.recordings").joinpath("clean.flac").open("rb") as file:
        wav, sample_rate = soundfile.read(file, dtype="float32")
    assert sample_rate == SAMPLE_RATE
    return np.asarray(wav[np.newaxis], dtype=np.float32)


def statistics_of(wav: FloatArray) -> SignalStatistics:
    return SignalStatistics(samples=wav.shape[1], mean=0.0, std=float(wav.std()), peak=float(np.abs(wav).max()))


def guard(change: Change) -> DriftGuard:
    return DriftGuard(Engine(change, name="generator"), Engine(lambda wav: wav, name="fallback"))


def other_words(wav: FloatArray) -> FloatArray:
    return wav[:, ::-1].copy()


def equalised(wav: FloatArray) -> FloatArray:
    """Brighter by 6 dB per octave and twice as loud, as a studio microphone might be; what is said stays."""
    return np.diff(wav, prepend=np.float32(0)) * np.float32(2)


def test_an_engine_that_keeps_the_words_is_heard_untouched(speech: FloatArray) -> None:
    watched = guard(equalised)

    estimate = watched.enhance(speech, SAMPLE_RATE, statistics=statistics_of(speech))

    assert np.array_equal(estimate[0], equalised(speech))
    assert watched.warnings == ()


def test_where_the_generator_says_other_words_the_fallback_is_heard(speech: FloatArray) -> None:
    def change(wav: FloatArray) -> FloatArray:
        changed = 0.5 * wav
        changed[:, 48_000:64_000] = other_words(changed[:, 48_000:64_000])
        return changed

    watched = guard(change)

    estimate = watched.enhance(speech, SAMPLE_RATE, statistics=statistics_of(speech))[0]

    assert np.array_equal(estimate[:, 48_000:64_000], speech[:, 48_000:64_000])
    assert np.array_equal(estimate[:, :32_000], 0.5 * speech[:, :32_000])
    assert np.array_equal(estimate[:, 80_000:], 0.5 * speech[:, 80_000:])
    ((start_s, stop_s),) = watched.places_s
    assert 2.5 <= start_s <= 3.0
    assert 4.0 <= stop_s <= 4.5


@pytest.mark.parametrize(
    "change",
    [
        lambda wav: np.zeros_like(wav),
        lambda wav: wav * np.float32(0.1),
        lambda wav: np.full_like(wav, np.nan),
        lambda wav: np.random.default_rng(0).standard_normal(wav.shape).astype(np.float32) * wav.std(),
    ],
    ids=["silent", "much-too-quiet", "not-a-number", "noise"],
)
def test_failed_output_is_replaced_as_a_whole(speech: FloatArray, change: Change) -> None:
    watched = guard(change)

    estimate = watched.enhance(speech, SAMPLE_RATE, statistics=statistics_of(speech))

    assert np.array_equal(estimate[0], speech)
    assert watched.places_s == [(0.0, speech.shape[1] / SAMPLE_RATE)]


def test_words_where_the_recording_is_silent_are_taken_out(speech: FloatArray) -> None:
    silence = np.zeros((1, 3 * SAMPLE_RATE), np.float32)
    watched = guard(lambda wav: speech[:, : wav.shape[1]])

    estimate = watched.enhance(silence, SAMPLE_RATE, statistics=statistics_of(speech))

    assert not estimate.any()


def test_silence_is_no_drift(speech: FloatArray) -> None:
    watched = guard(lambda wav: wav * np.float32(1e-3))
    hiss = np.random.default_rng(0).standard_normal((1, 2 * SAMPLE_RATE)).astype(np.float32) * np.float32(1e-5)

    watched.enhance(hiss, SAMPLE_RATE, statistics=statistics_of(speech))

    assert watched.places_s == []


@pytest.mark.parametrize("samples", [0, 1, 100, 9_000])
def test_short_waves_keep_their_length(speech: FloatArray, samples: int) -> None:
    wav = speech[:, 20_000 : 20_000 + samples]

    assert guard(equalised).enhance(wav, SAMPLE_RATE, statistics=statistics_of(speech)).shape == (1, 1, samples)


def test_pitch_of_another_voice_is_drift() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (
        sum(np.sin(2 * np.pi * number * pitch_hz * time) / number for number in range(1, 12)).astype(np.float32)
        for pitch_hz in (110.0, 110.0 * 2 ** (5 / 12))
    )

    assert pitch_difference_semitones(high, low, SAMPLE_RATE) == pytest.approx(5, abs=0.3)
    assert has_drifted(high, low, SAMPLE_RATE, peak=1.0, limits=DriftLimits(envelope_correlation=-1.0))
    assert not has_drifted(low, low, SAMPLE_RATE, peak=1.0, limits=DriftLimits(envelope_correlation=-1.0))


def test_fallback_fades_in_and_out_outside_of_its_stretch() -> None:
    weights = fallback_weights([(400, 600)], 1000, fade_samples=101)

    assert (weights[400:600] == 1).all()
    assert not weights[:299].any()
    assert not weights[701:].any()
    assert np.abs(np.diff(weights)).max() < 0.011


def test_the_job_is_told_at_which_times_of_the_recording_it_drifted(speech: FloatArray, tmp_path: Path) -> None:
    long = np.concatenate([speech, speech], axis=1)
    soundfile.write(tmp_path / "in.wav", long.T, SAMPLE_RATE, subtype="FLOAT")
    bad = np.zeros(long.shape[1], dtype=bool)
    bad[10 * SAMPLE_RATE : 12 * SAMPLE_RATE] = True
    segments = iter(list(split_segments(long.shape[1], PLAN)))

    def change(wav: FloatArray) -> FloatArray:
        segment = next(segments)
        return np.where(bad[segment.read_start : segment.read_stop], other_words(wav), wav)

    watched = guard(change)
    options = resolve_options("speech", {"pictures": False})

    result = run_pipeline(
        tmp_path / "in.wav",
        options=options,
        input_name="in.wav",
        workspace=tmp_path,
        enhancer=watched,
        on_progress=lambda stage, progress: None,
    )

    ((start_s, stop_s),) = watched.places_s
    assert 9.0 <= start_s <= 10.0
    assert 12.0 <= stop_s <= 13.0
    (warning,) = [text for text in result.warnings if "departed" in text]
    assert warning.startswith("The model 'generator' departed from what was said at 0:")
    assert "'fallback'" in warning


def test_next_recording_is_not_told_what_was_said_of_the_one_before(speech: FloatArray, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", speech.T, SAMPLE_RATE, subtype="FLOAT")
    changes = [other_words] * len(list(split_segments(speech.shape[1], PLAN)))
    watched = guard(lambda wav: changes.pop()(wav) if changes else wav)

    warnings = []
    for number in range(2):
        workspace = tmp_path / str(number)
        workspace.mkdir()
        result = run_pipeline(
            tmp_path / "in.wav",
            options=resolve_options("speech", {"pictures": False}),
            input_name="in.wav",
            workspace=workspace,
            enhancer=watched,
            on_progress=lambda stage, progress: None,
        )
        warnings.append([text for text in result.warnings if "departed" in text])

    assert (len(warnings[0]), len(warnings[1])) == (1, 0)


def test_engines_of_different_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="48000 Hz, its fallback fallback at 16000 Hz"):
        DriftGuard(Engine(equalised, name="generator", sample_rate=48_000), Engine(equalised, name="fallback"))


def test_separators_are_refused() -> None:
    with pytest.raises(ValueError, match="no denoiser"):
        DriftGuard(Engine(equalised, name="a", stems=("vocals", "rest")), Engine(equalised, name="b"))

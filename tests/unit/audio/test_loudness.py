"""Loudness against the minimum-requirement signals of EBU Tech 3341 and 3342, and against FFmpeg's own meter."""

from __future__ import annotations

import av
import numpy as np
import pyloudnorm
import pytest

from core.audio.loudness import Loudness, LoudnessMeter, k_weighting
from core.audio.power_histogram import PowerHistogram
from core.audio.types import FloatArray

RATE = 48_000
SLOW_RATE = 8_000  # of minutes of steady tones: the gates count in time, and a tone is as loud at every rate


def tones(*parts: tuple[float, float], channels: int = 2, sample_rate: int = RATE) -> FloatArray:
    """A 1 kHz sine on every channel, each part (peak level in dBFS, seconds) following the other."""
    amplitude = np.concatenate([np.full(round(s * sample_rate), 10 ** (db / 20)) for db, s in parts])
    sine = amplitude * np.sin(2 * np.pi * 1000 * np.arange(len(amplitude)) / sample_rate)
    return np.tile(sine, (channels, 1)).astype(np.float32)


def measure(wav: FloatArray, sample_rate: int = RATE, *, block_frames: int = 65_536) -> Loudness:
    meter = LoudnessMeter(sample_rate, wav.shape[0])
    for start in range(0, wav.shape[-1], block_frames):
        meter.update(wav[:, start : start + block_frames])
    return meter.result()


def speech_like_noise(seconds: float, channels: int, sample_rate: int = RATE) -> FloatArray:
    """Noise whose level wanders over 20 dB, differently on each channel."""
    generator = np.random.default_rng(7)
    frames = round(seconds * sample_rate)
    knots = generator.uniform(-40, -20, (channels, int(seconds) + 2))
    levels = np.stack([np.interp(np.arange(frames) / sample_rate, np.arange(knots.shape[1]), row) for row in knots])
    return (10 ** (levels / 20) * generator.standard_normal((channels, frames))).astype(np.float32)


def measure_with_ffmpeg(wav: FloatArray, sample_rate: int, layout: str) -> dict[str, float]:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=sample_rate, format="flt", layout=layout)
    meter = graph.add("ebur128", "metadata=1:peak=true:framelog=quiet")
    sink = graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    figures: dict[str, str] = {}
    for start in range(0, wav.shape[-1], sample_rate):
        samples = np.ascontiguousarray(wav[:, start : start + sample_rate].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
        frame.sample_rate, frame.pts = sample_rate, start
        graph.push(frame)
        while True:
            try:
                figures |= graph.pull().metadata
            except av.error.BlockingIOError:
                break
    return {name.removeprefix("lavfi.r128."): float(value) for name, value in figures.items()}


@pytest.mark.parametrize(
    ("parts", "expected_lufs"),
    [
        pytest.param([(-23, 20)], -23.0, id="3341-1"),
        pytest.param([(-33, 20)], -33.0, id="3341-2"),
        pytest.param([(-36, 10), (-23, 60), (-36, 10)], -23.0, id="3341-3"),
        pytest.param([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0, id="3341-4"),
        pytest.param([(-26, 20), (-20, 20.1), (-26, 20)], -23.0, id="3341-5"),
    ],
)
def test_integrated_loudness_of_the_ebu_3341_signals(parts: list[tuple[float, float]], expected_lufs: float) -> None:
    loudness = measure(tones(*parts, sample_rate=SLOW_RATE), SLOW_RATE)

    assert loudness.integrated_lufs == pytest.approx(expected_lufs, abs=0.1)


@pytest.mark.parametrize("has_lfe", [False, True])
def test_surround_channels_weigh_more_and_the_lfe_nothing(has_lfe: bool) -> None:
    """EBU Tech 3341 signal 6: L R -28, C -24, surrounds -30 dBFS."""
    levels = [-28, -28, -24, *([-3] if has_lfe else []), -30, -30]
    wav = np.concatenate([tones((level, 20), channels=1, sample_rate=SLOW_RATE) for level in levels])

    loudness = measure(wav, SLOW_RATE)

    assert loudness.integrated_lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize(
    ("levels", "expected_lu"),
    [
        pytest.param([-20, -30], 10, id="3342-1"),
        pytest.param([-20, -15], 5, id="3342-2"),
        pytest.param([-40, -20], 20, id="3342-3"),
        pytest.param([-50, -35, -20, -35, -50], 15, id="3342-4"),
    ],
)
def test_loudness_range_of_the_ebu_3342_signals(levels: list[float], expected_lu: float) -> None:
    loudness = measure(tones(*[(level, 20) for level in levels], sample_rate=SLOW_RATE), SLOW_RATE)

    assert loudness.range_lu == pytest.approx(expected_lu, abs=1.0)


@pytest.mark.parametrize(
    ("divisor", "phase_degrees", "amplitude", "expected_dbtp"),
    [
        pytest.param(4, 0, 0.5, -6.0, id="3341-15"),
        pytest.param(4, 45, 0.5, -6.0, id="3341-16"),
        pytest.param(6, 60, 0.5, -6.0, id="3341-17"),
        pytest.param(8, 67.5, 0.5, -6.0, id="3341-18"),
        pytest.param(4, 45, 1.41, 3.0, id="3341-19"),
    ],
)
def test_true_peak_of_the_ebu_3341_tones(
    divisor: int, phase_degrees: float, amplitude: float, expected_dbtp: float
) -> None:
    turns = np.arange(RATE) / divisor
    fade = np.minimum(1, np.minimum(np.arange(RATE), np.arange(RATE)[::-1]) / 1000)
    wav = (amplitude * fade * np.sin(2 * np.pi * turns + np.deg2rad(phase_degrees)))[None].astype(np.float32)

    true_peak_dbtp = measure(wav).true_peak_dbtp

    assert true_peak_dbtp is not None
    assert -0.4 <= true_peak_dbtp - expected_dbtp <= 0.2


@pytest.mark.parametrize("offset", [0, 0.25, 0.5, 0.75])
def test_true_peak_finds_a_peak_wherever_it_lies_between_the_samples(offset: float) -> None:
    """A Gaussian pulse on a carrier of a sixth of the rate: 0.5 at its top, by construction."""
    time = np.arange(400) - 200 - offset
    wav = (0.5 * np.exp(-((time / 20) ** 2)) * np.cos(2 * np.pi * time / 6))[None].astype(np.float32)

    assert measure(wav).true_peak_dbtp == pytest.approx(-6.02, abs=0.1)


@pytest.mark.parametrize(
    ("sample_rate", "layout"),
    [(8_000, "mono"), (22_050, "stereo"), (44_100, "stereo"), (48_000, "5.1"), (96_000, "mono")],
)
def test_figures_agree_with_ffmpeg(sample_rate: int, layout: str) -> None:
    wav = speech_like_noise(12, {"mono": 1, "stereo": 2, "5.1": 6}[layout], sample_rate)

    ours, theirs = measure(wav, sample_rate), measure_with_ffmpeg(wav, sample_rate, layout)

    assert ours.integrated_lufs == pytest.approx(theirs["I"], abs=0.02)
    assert ours.range_lu == pytest.approx(theirs["LRA"], abs=0.5)
    assert ours.true_peak_dbtp == pytest.approx(20 * np.log10(theirs["true_peak"]), abs=0.5)


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_integrated_loudness_agrees_with_pyloudnorm(sample_rate: int, channels: int) -> None:
    wav = speech_like_noise(6, channels, sample_rate)

    theirs = pyloudnorm.Meter(sample_rate).integrated_loudness(wav.T.astype(np.float64))

    assert measure(wav, sample_rate).integrated_lufs == pytest.approx(theirs, abs=0.1)


def test_k_weighting_at_48_khz_is_the_published_table() -> None:
    published = [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]

    np.testing.assert_allclose(k_weighting(48_000), published, atol=1e-9)


@pytest.mark.parametrize("sample_rate", [1_000, 3_400, 4_000, 8_000, 768_000])
def test_k_weighting_is_stable_at_every_rate_that_is_read(sample_rate: int) -> None:
    for section in k_weighting(sample_rate):
        assert np.abs(np.roots(section[3:])).max() < 1


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 44_100, 96_000])
def test_a_tone_is_as_loud_at_every_sample_rate(sample_rate: int) -> None:
    wav = tones((-23, 5), sample_rate=sample_rate)

    assert measure(wav, sample_rate).integrated_lufs == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("block_frames", [1_000, 4_801, 200_000])
def test_result_does_not_depend_on_the_block_size(block_frames: int) -> None:
    wav = speech_like_noise(5, 2)

    whole, pieces = measure(wav, block_frames=wav.shape[-1]), measure(wav, block_frames=block_frames)

    assert pieces.integrated_lufs == pytest.approx(whole.integrated_lufs, abs=1e-5)
    assert pieces.range_lu == pytest.approx(whole.range_lu, abs=1e-5)
    assert pieces.true_peak_dbtp == pytest.approx(whole.true_peak_dbtp, abs=1e-5)


def test_mono_is_3_db_below_the_same_sound_on_two_channels() -> None:
    mono, stereo = (measure(tones((-23, 5), channels=channels)).integrated_lufs for channels in (1, 2))

    assert mono is not None
    assert stereo is not None
    assert stereo - mono == pytest.approx(3.01, abs=0.01)


@pytest.mark.parametrize("frames", [0, 1, 15, 4_800])
def test_too_short_a_signal_has_a_peak_but_no_loudness(frames: int) -> None:
    loudness = measure(np.full((1, frames), 0.5, np.float32))

    assert (loudness.integrated_lufs, loudness.range_lu) == (None, None)
    assert (loudness.true_peak_dbtp is None) == (frames == 0)


def test_silence_has_no_figures() -> None:
    wav = np.zeros((2, 4 * RATE), np.float32)

    assert measure(wav) == Loudness(integrated_lufs=None, range_lu=None, true_peak_dbtp=None)


def test_histogram_s_mean_is_exact_and_its_quantiles_are_within_a_class() -> None:
    powers = 10 ** np.random.default_rng(0).uniform(-9, 0, 5_000)
    histogram = PowerHistogram()

    histogram.add(powers[:2_000])
    histogram.add(powers[2_000:])

    assert histogram.count == 5_000
    assert histogram.mean() == pytest.approx(powers.mean(), rel=1e-12)
    for fraction in (0.0, 0.1, 0.5, 0.95, 1.0):
        expected = np.quantile(powers, fraction, method="nearest")
        assert abs(10 * np.log10(histogram.quantile(fraction) / expected)) <= 0.02


def test_histogram_counts_silence_and_what_is_beyond_its_ends() -> None:
    histogram = PowerHistogram()

    histogram.add(np.array([0.0, 0.0, 1e-30, 1e9]))

    assert histogram.quantile(0.25) == pytest.approx(0.0, abs=1e-29)
    assert histogram.quantile(1.0) == 1e9
    assert histogram.above(1.0).count == 1

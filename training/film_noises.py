"""Noise of film sound tracks and old carriers, generated: optical and magnetic tracks, hum, crackle, clicks, hiss.

Every generator returns (T,) float32 of arbitrary level (the mixer sets it) and draws from the given generator only.
Spectra and rates are drawn from ranges around what the carriers are known for; they imitate, they measure nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

from training.noises import FloatArray

FRAME_RATES_HZ = (16.0, 18.0, 24.0, 25.0)  # silent film, sound film, television
TURN_RATES_HZ = (33.333 / 60, 45 / 60, 78.26 / 60)  # discs
MAINS_HZ = (50.0, 60.0)
GRAIN_CORNER_HZ = (3_000.0, 9_000.0)  # the slit of an optical reader averages what is finer
TAPE_CORNER_HZ = (6_000.0, 16_000.0)
CLICK_DECAY_S = (5e-5, 1.2e-3)
MAX_HARMONICS = 50

Float64Array = NDArray[np.floating]
Generator = Callable[..., FloatArray]


def hiss(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return stationary noise with the spectrum of a worn print: a tilt, a corner, one or two broad bumps."""
    frequencies = np.fft.rfftfreq(samples, 1 / sample_rate)
    octaves = np.log2(np.maximum(frequencies, 20.0) / 1000.0)
    gain_db = rng.uniform(-6.0, 2.0) * octaves
    gain_db -= rng.uniform(6.0, 24.0) * np.log2(1 + (frequencies / rng.uniform(*TAPE_CORNER_HZ)) ** 4) / 4
    for _ in range(int(rng.integers(1, 3))):
        centre, width = rng.uniform(-3.0, 3.5), rng.uniform(0.3, 1.5)
        gain_db += rng.uniform(-6.0, 8.0) * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    return _shaped(samples, rng, gain_db=gain_db, frequencies=frequencies)


def optical_track(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return the noise of an optical track: grain that breathes with the light let through, dirt, frame-rate ripple.

    The grain is low-passed at 3 to 9 kHz. A worn print carries more of it in some stretches than in others; the
    perforations leak through as a tone at 96 Hz (four a frame) with the light of the exciter lamp.
    """
    frequencies = np.fft.rfftfreq(samples, 1 / sample_rate)
    corner_hz = rng.uniform(*GRAIN_CORNER_HZ)
    grain = _shaped(samples, rng, gain_db=-10 * np.log10(1 + (frequencies / corner_hz) ** 4), frequencies=frequencies)
    grain *= _wandering_gain(samples, rng, sample_rate=sample_rate, depth_db=6.0).astype(np.float32)
    frame_rate = float(rng.choice(FRAME_RATES_HZ))
    time_s = np.arange(samples) / sample_rate
    ripple = 1 + rng.uniform(0.0, 0.4) * np.sin(2 * np.pi * (frame_rate * time_s + rng.random()))
    motor = rng.uniform(0.0, 0.3) * np.sin(2 * np.pi * (4 * frame_rate * time_s + rng.random()))
    dirt = _impulses(samples, rng, sample_rate=sample_rate, rate_hz=rng.uniform(2.0, 40.0), ringing_hz=(300.0, 5000.0))
    noise = _unit(grain * ripple) + motor + rng.uniform(0.0, 1.0) * _unit(dirt)
    return np.asarray(noise, dtype=np.float32)


def magnetic_track(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return the noise of magnetic film or tape: hiss that rises by 3 to 6 dB an octave, rumble, drop-outs."""
    frequencies = np.fft.rfftfreq(samples, 1 / sample_rate)
    octaves = np.log2(np.maximum(frequencies, 60.0) / 1000.0)
    gain_db = rng.uniform(1.0, 5.0) * octaves
    gain_db -= 10 * np.log10(1 + (frequencies / rng.uniform(*TAPE_CORNER_HZ)) ** 6)
    tape = _unit(_shaped(samples, rng, gain_db=gain_db, frequencies=frequencies))
    tape *= _wandering_gain(samples, rng, sample_rate=sample_rate, depth_db=2.0)
    below = butter(2, rng.uniform(30.0, 120.0), "lowpass", fs=sample_rate, output="sos")
    rumble = _unit(sosfilt(below, rng.standard_normal(samples)))
    return np.asarray(tape + rng.uniform(0.0, 0.7) * rumble, dtype=np.float32)


def hum(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return mains hum or buzz: 50 or 60 Hz, drifting within 1 %, with harmonics up to the fiftieth, of falling level.

    A rectified supply leaves the even harmonics stronger than the odd ones.
    """
    drift = 1 + rng.uniform(-0.01, 0.01) + 0.001 * _wander(samples, rng, sample_rate=sample_rate, rate_hz=0.5)
    cycles = np.cumsum(float(rng.choice(MAINS_HZ)) * drift) / sample_rate
    highest = int(rng.integers(3, MAX_HARMONICS + 1))
    slope = rng.uniform(0.4, 1.6)
    odd_gain = rng.uniform(0.1, 1.0)
    wav = np.zeros(samples)
    for harmonic in range(1, highest + 1):
        amplitude = rng.uniform(0.2, 1.0) * harmonic**-slope * (odd_gain if harmonic % 2 else 1.0)
        wav += amplitude * np.sin(2 * np.pi * (harmonic * cycles + rng.random()))
    return wav.astype(np.float32)


def crackle(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return dense small impulses, 100 to 2,000 a second, that ring for well under a millisecond."""
    rate_hz = float(np.exp(rng.uniform(np.log(100.0), np.log(2000.0))))
    return _impulses(samples, rng, sample_rate=sample_rate, rate_hz=rate_hz, ringing_hz=(1500.0, 9000.0))


def clicks(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return sparse strong clicks, and half the time a scratch: one that comes again each frame or turn."""
    wav = _impulses(samples, rng, sample_rate=sample_rate, rate_hz=rng.uniform(0.5, 8.0), ringing_hz=(400.0, 6000.0))
    if rng.random() < 0.5:
        rates = FRAME_RATES_HZ if rng.random() < 0.5 else TURN_RATES_HZ
        period = sample_rate / float(rng.choice(rates))
        places = np.arange(rng.uniform(0, period), samples, period).astype(int)
        scratch = np.zeros(samples)
        scratch[places] = rng.normal(1.0, 0.3, len(places))
        shape = _ringing(rng, sample_rate=sample_rate, ringing_hz=(400.0, 6000.0))
        peak = float(np.abs(wav).max()) or 1.0
        wav = wav + np.float32(peak * rng.uniform(0.2, 0.8)) * _filtered(scratch, shape)
    return wav


GENERATORS: Mapping[str, Generator] = {
    "hiss": hiss,
    "optical": optical_track,
    "magnetic": magnetic_track,
    "hum": hum,
    "crackle": crackle,
    "clicks": clicks,
}
_BEDS = ("hiss", "optical", "magnetic")
_SPOTS: Mapping[str, float] = {"hum": 0.5, "crackle": 0.5, "clicks": 0.5}
"""How often each lies over a bed."""


def film_noise(samples: int, rng: np.random.Generator, *, sample_rate: int) -> FloatArray:
    """Return the noise of one worn print or record: a continuous bed, with any of hum, crackle and clicks over it."""
    mix = _unit(GENERATORS[str(rng.choice(_BEDS))](samples, rng, sample_rate=sample_rate))
    for name, share in _SPOTS.items():
        if rng.random() < share:
            level = 10 ** (rng.uniform(-14.0, 4.0) / 20)
            mix = mix + level * _unit(GENERATORS[name](samples, rng, sample_rate=sample_rate))
    return mix.astype(np.float32)


def _shaped(samples: int, rng: np.random.Generator, *, gain_db: Float64Array, frequencies: Float64Array) -> FloatArray:
    """Return Gaussian noise (T,) with the gain curve `gain_db` over `frequencies`, nothing below 20 Hz."""
    spectrum = rng.standard_normal(len(frequencies)) + 1j * rng.standard_normal(len(frequencies))
    spectrum *= 10 ** (gain_db / 20)
    spectrum[frequencies < 20.0] = 0
    return np.fft.irfft(spectrum, samples).astype(np.float32)


def _impulses(
    samples: int, rng: np.random.Generator, *, sample_rate: int, rate_hz: float, ringing_hz: tuple[float, float]
) -> FloatArray:
    """Return impulses at random times, heavy-tailed in level, in three shapes of ringing."""
    wav = np.zeros(samples, dtype=np.float32)
    for _ in range(3):
        train = np.zeros(samples)
        count = rng.poisson(samples / sample_rate * rate_hz / 3)
        train[rng.integers(0, samples, count)] = rng.standard_t(2.5, count).clip(-15.0, 15.0)
        wav += _filtered(train, _ringing(rng, sample_rate=sample_rate, ringing_hz=ringing_hz))
    return wav


def _ringing(rng: np.random.Generator, *, sample_rate: int, ringing_hz: tuple[float, float]) -> list[float]:
    """Return the poles of a damped resonance, (1, a1, a2)."""
    radius = float(np.exp(-1 / (sample_rate * np.exp(rng.uniform(*np.log(CLICK_DECAY_S))))))
    angle = 2 * np.pi * min(rng.uniform(*ringing_hz), 0.45 * sample_rate) / sample_rate
    return [1.0, -2 * radius * float(np.cos(angle)), radius**2]


def _filtered(impulses: Float64Array, poles: list[float]) -> FloatArray:
    return np.asarray(lfilter([1.0], poles, impulses), dtype=np.float32)


def _wander(samples: int, rng: np.random.Generator, *, sample_rate: int, rate_hz: float) -> Float64Array:
    """Return a smooth random curve (T,) within -1..1 that turns about `rate_hz` times a second."""
    points = max(2, int(samples / sample_rate * rate_hz) + 2)
    return np.asarray(np.interp(np.linspace(0, points - 1, samples), np.arange(points), rng.uniform(-1, 1, points)))


def _wandering_gain(samples: int, rng: np.random.Generator, *, sample_rate: int, depth_db: float) -> Float64Array:
    curve = _wander(samples, rng, sample_rate=sample_rate, rate_hz=rng.uniform(0.3, 4.0))
    return np.asarray(10 ** (depth_db * curve / 20))


def _unit(wav: FloatArray | Float64Array) -> Float64Array:
    """Return `wav` at an RMS of 1; silence as it is."""
    rms = float(np.sqrt(np.mean(np.square(wav, dtype=np.float64))))
    return np.asarray(wav if rms == 0 else wav / rms, dtype=np.float64)

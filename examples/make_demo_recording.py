"""Make the demo's recording: synthesised speech in a small room, and the same under noise at 5 dB SNR.

    python examples/make_demo_recording.py cli/recordings

writes `clean.flac` and `noisy.flac` (16 kHz, mono, 16 bit, about 10 s). Everything in them is made here: the speech by
the espeak-ng program (`apt-get install espeak-ng`; the committed files come from version 1.51), the room and the noise
from a seeded generator, so a second run gives the same bytes. The files are in the public domain (CC0).
"""

from __future__ import annotations

import argparse
import io
import logging
import subprocess
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray
from scipy import signal

FloatArray = NDArray[np.float64]

SAMPLE_RATE = 16_000
SEED = 20_260
SNR_DB = 5.0
PEAK = 0.7  # of the noisy file; the clean one keeps the same scale, so that it is a true reference
PAUSE_S = 0.4

UTTERANCES = (
    ("en-gb", 165, 45, "The ferry leaves the harbour at seven."),
    ("en-us+f3", 165, 55, "Please leave your name and number after the tone."),
    ("en-gb-x-rp+m3", 160, 40, "Nobody could hear her over the fan."),
)
"""espeak-ng voice, speed in words per minute, pitch (0..99), text."""


def speak(text: str, voice: str, *, words_per_minute: int, pitch: int) -> FloatArray:
    """Return `text` spoken by espeak-ng as mono samples (T,) at SAMPLE_RATE, without silence at either end."""
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "--stdout", text]
    wave = subprocess.run(command, check=True, capture_output=True).stdout
    samples, sample_rate = sf.read(io.BytesIO(wave), dtype="float64")
    resampled: FloatArray = soxr.resample(samples, sample_rate, SAMPLE_RATE)
    audible = np.flatnonzero(np.abs(resampled) > 1e-3)
    return resampled[audible[0] : audible[-1] + 1]


def speech_track(*, pause_s: float = PAUSE_S) -> FloatArray:
    """All utterances at equal power, a pause before, between and after them."""
    pause = np.zeros(round(pause_s * SAMPLE_RATE))
    parts = [pause]
    for voice, words_per_minute, pitch, text in UTTERANCES:
        spoken = speak(text, voice, words_per_minute=words_per_minute, pitch=pitch)
        parts += [0.08 * spoken / np.std(spoken), pause]
    return np.concatenate(parts)


def room_response(
    rng: np.random.Generator, *, rt60_s: float = 0.18, direct_to_reverberant_db: float = 8.0
) -> FloatArray:
    """Impulse response of a small damped room: the direct sound, then noise that decays by 60 dB in `rt60_s`."""
    time_s = np.arange(round(rt60_s * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(time_s.size) * 10 ** (-3 * time_s / rt60_s)
    tail[: round(0.002 * SAMPLE_RATE)] = 0
    tail *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return tail


def coloured_noise(rng: np.random.Generator, samples: int, *, exponent: float) -> FloatArray:
    """Gaussian noise of unit power whose power spectrum falls as 1 / f ** exponent above 20 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    spectrum *= np.maximum(frequency_hz, 20.0) ** (-exponent / 2) * (frequency_hz > 0)
    noise = np.fft.irfft(spectrum, samples)
    return noise / np.std(noise)


def mains_hum(rng: np.random.Generator, samples: int, *, mains_hz: float = 50.0, harmonics: int = 8) -> FloatArray:
    """Mains hum of unit power: the fundamental and its harmonics with random phases, odd ones stronger."""
    time_s = np.arange(samples) / SAMPLE_RATE
    hum = np.zeros(samples)
    for harmonic in range(1, harmonics + 1):
        gain = (1.0 if harmonic % 2 else 0.4) / harmonic
        hum += gain * np.sin(2 * np.pi * harmonic * mains_hz * time_s + rng.uniform(0, 2 * np.pi))
    return hum / np.std(hum)


def murmur(rng: np.random.Generator, samples: int, *, talkers: int = 5) -> FloatArray:
    """A room's murmur of unit power: noise in bands of speech, each rising and falling at syllable rates."""
    total = np.zeros(samples)
    envelope_filter = signal.butter(2, (1.5, 6.0), "bandpass", fs=SAMPLE_RATE, output="sos")
    for _ in range(talkers):
        low_hz = rng.uniform(200, 500)
        band = signal.butter(2, (low_hz, low_hz * rng.uniform(3, 6)), "bandpass", fs=SAMPLE_RATE, output="sos")
        envelope = signal.sosfilt(envelope_filter, rng.standard_normal(samples))
        voice = signal.sosfilt(band, rng.standard_normal(samples)) * np.maximum(envelope / np.std(envelope), 0.0)
        total += voice / np.std(voice)
    return total / np.std(total)


def noise_track(rng: np.random.Generator, samples: int) -> FloatArray:
    """A fan's rumble, hiss, hum and a murmur in the next room; unit power."""
    noise = (
        0.8 * coloured_noise(rng, samples, exponent=1.4)
        + 0.25 * coloured_noise(rng, samples, exponent=0.0)
        + 0.4 * mains_hum(rng, samples)
        + 0.45 * murmur(rng, samples)
    )
    return noise / np.std(noise)


def make_recording(*, seed: int = SEED, snr_db: float = SNR_DB) -> tuple[FloatArray, FloatArray]:
    """Return (clean, noisy), both (T,); the SNR is over the whole file, pauses included."""
    rng = np.random.default_rng(seed)
    clean = signal.fftconvolve(speech_track(), room_response(rng))
    noise = noise_track(rng, clean.size) * np.std(clean) * 10 ** (-snr_db / 20)
    noisy = clean + noise
    scale = PEAK / np.max(np.abs(noisy))
    return clean * scale, noisy * scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where clean.flac and noisy.flac go")
    folder: Path = parser.parse_args().folder
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    folder.mkdir(parents=True, exist_ok=True)
    clean, noisy = make_recording()
    for name, samples in (("clean", clean), ("noisy", noisy)):
        path = folder / f"{name}.flac"
        sf.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
        logging.info("%s: %.2f s, %d bytes", path, samples.size / SAMPLE_RATE, path.stat().st_size)


if __name__ == "__main__":
    main()

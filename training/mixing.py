"""Mixtures on the fly: example number `index` of a seed is always the same, so a run resumes without any state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import InvalidOptions
from training import augment, batch_augment, film_carrier, noises
from training.codecs import through_codec
from training.datasets import AudioPool, FloatArray, Kind
from training.film_noises import film_noise
from training.pitch_time import change_pitch_and_tempo
from training.recipe import MixSection

KeyT = TypeVar("KeyT", bound=str)

SILENT_POWER = 1e-8  # -80 dBFS: a crop below this holds no programme
CROP_ATTEMPTS = 4
BABBLE_SPEAKERS = (3, 7)
LAYER_LEVEL_DB = 10.0  # further noises lie up to this far below the first
TELEPHONE_LOW_HZ = (100.0, 400.0)
TELEPHONE_HIGH_HZ = (3000.0, 4500.0)
CLIPPED_SHARE = (0.002, 0.08)
ACADEMY_AMOUNT = (0.3, 1.0)
BATCH_STREAM = 1  # sets the draws for a batch apart from those for its examples


@dataclass(frozen=True, kw_only=True)
class Example:
    """One mixture and its target, (T,) float32 each; `noisy - clean` is what is to be removed."""

    noisy: FloatArray
    clean: FloatArray
    snr_db: float  # speech to noise as drawn; before clipping


def mix_at_snr(speech: FloatArray, noise: FloatArray, snr_db: float) -> FloatArray:
    """Return `noise` scaled to lie `snr_db` below `speech`; powers are mean squares over the clip.

    Silent noise stays silent; silent speech leaves the noise as it is.
    """
    speech_power = float(np.mean(np.square(speech, dtype=np.float64)))
    noise_power = float(np.mean(np.square(noise, dtype=np.float64)))
    if speech_power == 0 or noise_power == 0:
        return noise
    return np.asarray(noise * np.sqrt(speech_power / (noise_power * 10 ** (snr_db / 10))), dtype=np.float32)


def _normalised(weights: Mapping[KeyT, float]) -> tuple[tuple[KeyT, ...], NDArray[np.float64]]:
    """Return the keys of positive weight and their weights, which sum to 1."""
    kept = {key: weight for key, weight in weights.items() if weight > 0}
    if not kept:
        raise InvalidOptions(f"One of {', '.join(map(str, weights))} needs a weight above 0")
    values = np.array(list(kept.values()))
    return tuple(kept), values / values.sum()


class Mixer:
    """Draws mixtures from pools of clips. Stateless but for the pools: everything follows from seed and index."""

    def __init__(self, pools: Mapping[Kind, AudioPool], config: MixSection, *, sample_rate: int, seed: int) -> None:
        self._pools = pools
        self._config = config
        self._sample_rate = sample_rate
        self._seed = seed
        self._noise_kinds, self._noise_weights = _normalised(config.noises)
        self._domains, self._domain_weights = _normalised(config.domains)
        # The square root keeps a few long clips from crowding out the many short ones.
        self._clip_weights = {
            kind: np.sqrt(pool.durations) / np.sqrt(pool.durations).sum() for kind, pool in pools.items()
        }

    def batch(self, step: int, batch_size: int, *, rank: int = 0, ranks: int = 1) -> tuple[Tensor, Tensor]:
        """Return noisy and clean (B / ranks, T) of optimiser step `step`: the part of one of `ranks` processes."""
        examples = [self.example(step * batch_size + offset) for offset in range(rank, batch_size, ranks)]
        noisy = np.stack([example.noisy for example in examples])
        clean = np.stack([example.clean for example in examples])
        noisy, clean = self._augment_batch(noisy, clean, np.random.default_rng([self._seed, step, rank, BATCH_STREAM]))
        return torch.from_numpy(noisy), torch.from_numpy(clean)

    def _augment_batch(
        self, noisy: FloatArray, clean: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Return noisy and clean (B, T) after what needs more than one example; T falls by `shift_samples`."""
        config = self._config
        if config.remix:
            noisy = batch_augment.remix(noisy, clean, rng)
        if config.band_mask:
            low_hz, high_hz = batch_augment.draw_masked_band(rng, width=config.band_mask, sample_rate=self._sample_rate)
            mask = partial(batch_augment.mask_band, low_hz=low_hz, high_hz=high_hz, sample_rate=self._sample_rate)
            noisy, clean = mask(noisy), mask(clean)
        if config.shift_samples:
            noisy, clean = batch_augment.shift(noisy, clean, rng, samples=config.shift_samples)
        return noisy, clean

    def example(self, index: int) -> Example:
        """Return mixture number `index`."""
        config = self._config
        rng = np.random.default_rng([self._seed, index])
        speech = self.programme(rng)
        clean = speech
        if rng.random() < config.reverb:
            speech, clean = augment.reverberate(
                speech, self.room(rng), sample_rate=self._sample_rate, early_ms=config.early_ms
            )
        snr_db = self.draw_snr_db(rng)
        noise = mix_at_snr(speech, self.noise(rng), snr_db)
        noisy = speech + noise
        if rng.random() < config.band_limit:
            band = {"low_hz": rng.uniform(*TELEPHONE_LOW_HZ), "high_hz": rng.uniform(*TELEPHONE_HIGH_HZ)}
            noisy = augment.band_limit(noisy, **band, sample_rate=self._sample_rate)
            clean = augment.band_limit(clean, **band, sample_rate=self._sample_rate)
        if rng.random() < config.clipping:
            noisy = augment.hard_clip(noisy, share=rng.uniform(*CLIPPED_SHARE))
        if config.academy and rng.random() < config.academy:
            noisy, clean = self._through_academy(rng, clean=clean, noise=noisy - clean)
        if config.codec and rng.random() < config.codec:
            noisy = self.encode(noisy, rng)
        gain = self.draw_gain(rng, noisy)
        return Example(noisy=noisy * gain, clean=clean * gain, snr_db=snr_db)

    def draw_snr_db(self, rng: np.random.Generator) -> float:
        """Return the SNR of one mixture in dB."""
        config = self._config
        if rng.random() < config.near_clean:
            return float(rng.uniform(*config.near_clean_snr_db))
        if config.snr_choices_db:
            return float(rng.choice(config.snr_choices_db))
        return float(rng.uniform(*config.snr_db))

    def draw_gain(self, rng: np.random.Generator, noisy: FloatArray) -> np.float32:
        """Return the gain, of either polarity, to a random RMS level; lowered where the peak would exceed 1."""
        level_db = rng.uniform(*self._config.level_db)
        rms = float(np.sqrt(np.mean(np.square(noisy, dtype=np.float64))))
        peak = float(np.abs(noisy).max())
        if rms == 0:
            return np.float32(1)
        gain = min(10 ** (level_db / 20) / rms, 1.0 / peak)
        return np.float32(gain if rng.random() < 0.5 else -gain)

    def programme(self, rng: np.random.Generator) -> FloatArray:
        """Return what is to be kept: speech, or by weight a sound effect or music."""
        kind: Kind = "speech"
        if self._domains != ("speech",):  # recipes of speech alone draw nothing here
            kind = self._domains[int(rng.choice(len(self._domains), p=self._domain_weights))]
        wav = self._warped_crop(kind, rng)
        for _ in range(CROP_ATTEMPTS - 1):
            if np.mean(np.square(wav)) > SILENT_POWER:
                break
            wav = self._warped_crop(kind, rng)
        if self._config.wow_flutter and rng.random() < self._config.wow_flutter:
            wav = film_carrier.wow_and_flutter(wav, rng, sample_rate=self._sample_rate)
        return self._colour(self._shelve(wav, rng), rng)

    def _through_academy(
        self, rng: np.random.Generator, *, clean: FloatArray, noise: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return mixture and target band-limited like film sound: the curve lies before the noise, or after it."""
        amount = rng.uniform(*ACADEMY_AMOUNT)
        limited = film_carrier.academy_filter(clean, sample_rate=self._sample_rate, amount=amount)
        if rng.random() < 0.5:
            noise = film_carrier.academy_filter(noise, sample_rate=self._sample_rate, amount=amount)
        return limited + noise, limited

    def _warped_crop(self, kind: Kind, rng: np.random.Generator) -> FloatArray:
        """Return a crop as `_crop` does, changed in pitch and tempo where the recipe asks for it."""
        config = self._config
        # A recipe that does not ask draws nothing, so that its examples stay what they were.
        semitones = rng.uniform(*config.pitch_semitones) if config.pitch and rng.random() < config.pitch else 0.0
        tempo = rng.uniform(*config.stretch_tempo) if config.stretch and rng.random() < config.stretch else 1.0
        if semitones == 0 and tempo == 1:
            return self._crop(kind, rng, speed=config.speech_speed)
        length = config.segment_samples
        crop = self._crop(kind, rng, speed=config.speech_speed, samples=math.ceil(length * tempo) + 1)
        warped = change_pitch_and_tempo(crop, semitones=semitones, tempo=tempo, sample_rate=self._sample_rate)
        return np.pad(warped, (0, max(0, length - len(warped))))[:length]

    def _colour(self, wav: FloatArray, rng: np.random.Generator) -> FloatArray:
        config = self._config
        if not config.equaliser or rng.random() >= config.equaliser:
            return wav
        sections = augment.draw_equaliser(rng, limit_db=config.equaliser_db, sample_rate=self._sample_rate)
        return augment.equalise(wav, sections)

    def encode(self, wav: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return the mixture after a codec, whose full scale is at the mixture's peak."""
        config = self._config
        codec = config.codecs[int(rng.integers(len(config.codecs)))]
        bit_rate_bps = round(1000 * rng.uniform(*config.codec_kbps))
        peak = np.float32(max(1.0, float(np.abs(wav).max())))
        return peak * through_codec(wav / peak, codec, bit_rate_bps=bit_rate_bps, sample_rate=self._sample_rate)

    def _shelve(self, wav: FloatArray, rng: np.random.Generator) -> FloatArray:
        limit_db = self._config.high_shelf_db
        if limit_db == 0:
            return wav
        return augment.high_shelf(wav, gain_db=rng.uniform(-limit_db, limit_db), sample_rate=self._sample_rate)

    def _crop(
        self,
        kind: Kind,
        rng: np.random.Generator,
        *,
        speed: tuple[float, float] = (1.0, 1.0),
        samples: int | None = None,
    ) -> FloatArray:
        """Return a random crop of a random clip, played at a random speed; of a segment's length unless told.

        A clip of speech or effects that is too short lies in silence, any other is repeated.
        """
        length = self._config.segment_samples if samples is None else samples
        factor = rng.uniform(*speed)
        needed = math.ceil(length * factor)
        pool = self._pool(kind)
        index = int(rng.choice(len(pool), p=self._clip_weights[kind]))
        start = int(rng.integers(max(0, int(pool.durations[index]) - needed) + 1))
        clip = augment.change_speed(pool.read(index, start=start, length=needed), factor)[:length]
        missing = length - len(clip)
        if missing <= 0:
            return clip
        if kind in ("speech", "effects"):
            before = int(rng.integers(missing + 1))
            return np.pad(clip, (before, missing - before))
        return np.roll(np.resize(clip, length), int(rng.integers(length)))

    def room(self, rng: np.random.Generator) -> FloatArray:
        """Return the impulse response of a random room (N,)."""
        rooms = self._pool("rir")
        return rooms.read(int(rng.integers(len(rooms))))

    def _pool(self, kind: Kind) -> AudioPool:
        if kind not in self._pools:
            raise InvalidOptions(f"The recipe mixes clips of the kind {kind!r}; this part of the corpus has none")
        return self._pools[kind]

    def noise(self, rng: np.random.Generator) -> FloatArray:
        """Return the noise of one mixture (T,), of any level: one to `layers` kinds at once."""
        total = np.zeros(self._config.segment_samples, dtype=np.float32)
        for layer in range(int(rng.integers(1, self._config.layers + 1))):
            noise = self._one_noise(rng)
            power = float(np.mean(np.square(noise, dtype=np.float64)))
            if power > 0:
                below_db = rng.uniform(0, LAYER_LEVEL_DB) if layer else 0.0
                total += noise * np.float32(10 ** (-below_db / 20) / np.sqrt(power))
        return total

    def _one_noise(self, rng: np.random.Generator) -> FloatArray:
        samples = self._config.segment_samples
        kind = str(rng.choice(self._noise_kinds, p=self._noise_weights))
        if kind == "babble":
            return self._babble(rng)
        if kind == "music":
            return self._crop("music", rng)
        if kind == "shaped":
            return noises.shaped_noise(samples, rng, sample_rate=self._sample_rate)
        if kind == "film":
            return film_noise(samples, rng, sample_rate=self._sample_rate)
        if kind == "record":
            return noises.record_noise(samples, rng, sample_rate=self._sample_rate)
        return self._shelve(self._crop("noise", rng, speed=self._config.noise_speed), rng)

    def _babble(self, rng: np.random.Generator) -> FloatArray:
        """Return several voices at once, in a room where there are impulse responses."""
        voices = [self._crop("speech", rng) for _ in range(int(rng.integers(*BABBLE_SPEAKERS)))]
        babble: FloatArray = np.stack(voices).sum(axis=0)
        if "rir" not in self._pools:
            return babble
        wet, _ = augment.reverberate(
            babble, self.room(rng), sample_rate=self._sample_rate, early_ms=self._config.early_ms
        )
        return wet

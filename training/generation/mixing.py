"""Degraded speech on the fly: room or microphone, noise and codec in random order, silence at the ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import soxr
import torch
from torch import Tensor

from training import augment
from training.corpus import Pools
from training.datasets import FloatArray
from training.generation.recipe import INPUT_RATE, DegradationSection
from training.mixing import Example, Mixer, mix_at_snr
from training.recipe import MixSection

PEAK_FLOOR = 1e-8
Degradation = Callable[[FloatArray, np.random.Generator], FloatArray]


class GenerationMixer:
    """Draws degraded speech and its clean original; everything follows from seed and index, as in `Mixer`.

    `programme` are pools at the output rate, of which the speech is used; `sounds` the same clips at 16 kHz, of which
    noise, music and rooms are. What degrades acts on the input at 16 kHz. The target is dry: rooms are to be removed.
    """

    def __init__(
        self,
        programme: Pools,
        sounds: Pools,
        mix: MixSection,
        degradation: DegradationSection,
        *,
        sample_rate: int,
        seed: int,
    ) -> None:
        self._factor = sample_rate // INPUT_RATE
        self._config = degradation
        self._seed = seed
        self._speech = Mixer(programme, mix, sample_rate=sample_rate, seed=seed)
        heard = mix.model_copy(update={"segment_samples": mix.segment_samples // self._factor})
        self._sounds = Mixer(sounds, heard, sample_rate=INPUT_RATE, seed=seed)
        self._equaliser_db = mix.equaliser_db

    def batch(self, step: int, batch_size: int, *, rank: int = 0, ranks: int = 1) -> tuple[Tensor, Tensor]:
        """Return inputs (B / ranks, T) at 16 kHz and targets at the output rate of optimiser step `step`."""
        examples = [self.example(step * batch_size + offset) for offset in range(rank, batch_size, ranks)]
        noisy, clean = (
            torch.from_numpy(np.stack([getattr(example, side) for example in examples])) for side in ("noisy", "clean")
        )
        return noisy, clean

    def example(self, index: int) -> Example:
        """Return example number `index`; its SNR is nan where no noise was added."""
        rng = np.random.default_rng([self._seed, index])
        clean = self._insert_silence(self._speech.programme(rng), rng)
        if not clean.any():
            return self._silent_example(clean, rng)
        heard = clean if self._factor == 1 else _decimated(clean, self._factor)
        noisy, snr_db = heard, float("nan")
        if rng.random() >= self._config.untouched:
            snr_db = self._sounds.draw_snr_db(rng)
            for degrade in self.draw_degradations(rng, snr_db=snr_db):
                noisy = degrade(noisy, rng)
        if self._config.level == "peaks":
            return Example(noisy=_at_peak(noisy), clean=_at_peak(clean), snr_db=snr_db)
        gain = self._sounds.draw_gain(rng, noisy)
        return Example(noisy=noisy * gain, clean=clean * gain, snr_db=snr_db)

    def draw_degradations(self, rng: np.random.Generator, *, snr_db: float) -> list[Degradation]:
        """Return what becomes of one example, in a random order."""
        config = self._config
        chosen: list[Degradation] = []
        if rng.random() < config.impulse_response:
            chosen.append(self._microphone if rng.random() < config.microphone else self._room)
        if rng.random() < config.noise:
            chosen.append(partial(self._noise, snr_db=snr_db))
        if rng.random() < config.codec:
            chosen.append(self._sounds.encode)
        return [chosen[place] for place in rng.permutation(len(chosen))]

    def _room(self, wav: FloatArray, rng: np.random.Generator) -> FloatArray:
        return augment.reverberate(wav, self._sounds.room(rng), sample_rate=INPUT_RATE, early_ms=0)[0]

    def _microphone(self, wav: FloatArray, rng: np.random.Generator) -> FloatArray:
        return augment.equalise(wav, augment.draw_equaliser(rng, limit_db=self._equaliser_db, sample_rate=INPUT_RATE))

    def _noise(self, wav: FloatArray, rng: np.random.Generator, *, snr_db: float) -> FloatArray:
        return wav + mix_at_snr(wav, self._sounds.noise(rng), snr_db)

    def _insert_silence(self, clean: FloatArray, rng: np.random.Generator) -> FloatArray:
        config = self._config
        if rng.random() >= config.silence:
            return clean
        if rng.random() < config.all_silent:
            return np.zeros_like(clean)
        total = int(len(clean) * rng.uniform(0, config.longest_silence))
        before = int(rng.integers(total + 1))
        return np.pad(clean[: len(clean) - total], (before, total - before))

    def _silent_example(self, clean: FloatArray, rng: np.random.Generator) -> Example:
        """Return an example in which nobody speaks: half of them noise, half of them silence."""
        if rng.random() < 0.5:
            return Example(noisy=np.zeros(len(clean) // self._factor, np.float32), clean=clean, snr_db=float("nan"))
        noise = _at_peak(self._sounds.noise(rng))
        if self._config.level == "shared":
            noise = noise * self._sounds.draw_gain(rng, noise)
        return Example(noisy=noise, clean=clean, snr_db=float("-inf"))


def _at_peak(wav: FloatArray) -> FloatArray:
    return np.asarray(wav / (np.abs(wav).max() + np.float32(PEAK_FLOOR)), dtype=np.float32)


def _decimated(wav: FloatArray, factor: int) -> FloatArray:
    return np.asarray(soxr.resample(wav, factor, 1), dtype=np.float32)[: len(wav) // factor]

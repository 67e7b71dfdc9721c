"""Mixes of stems on the fly: example number `index` of a seed is always the same, so a run has no data state."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training import augment
from training.datasets import FloatArray
from training.pitch_time import change_pitch_and_tempo
from training.rooms import draw_room
from training.separation.recipe import StemMixSection
from training.separation.tracks import CHANNELS, StemPool


@dataclass(frozen=True, kw_only=True)
class StemExample:
    """A mix (2, T) and its sources (S, 2, T), whose sum it is."""

    mix: FloatArray
    stems: FloatArray


class StemMixer:
    """Draws examples from tracks. Stateless but for the tracks: everything follows from seed and index."""

    def __init__(self, pool: StemPool, config: StemMixSection, *, sources: int, sample_rate: int, seed: int) -> None:
        self._pool = pool
        self._config = config
        self._sources = sources
        self._sample_rate = sample_rate
        self._seed = seed
        self._samples = round(config.segment_s * sample_rate)
        self._weights = pool.durations / pool.durations.sum()

    def batch(self, step: int, batch_size: int, *, rank: int = 0, ranks: int = 1) -> tuple[Tensor, Tensor]:
        """Return mixes (B / ranks, 2, T) and sources (B / ranks, S, 2, T) of optimiser step `step`."""
        examples = [self.example(step * batch_size + offset) for offset in range(rank, batch_size, ranks)]
        mixes = torch.from_numpy(np.stack([example.mix for example in examples]))
        return mixes, torch.from_numpy(np.stack([example.stems for example in examples]))

    def example(self, index: int) -> StemExample:
        """Return example number `index`; where its mix would exceed full scale, all is made softer together."""
        rng = np.random.default_rng([self._seed, index])
        if rng.random() < self._config.remix:
            crops = [self._crop(rng)[source] for source in range(self._sources)]
        else:
            crops = list(self._crop(rng))
        stems = np.stack([self._change(crop, rng) for crop in crops])
        mix = stems.sum(axis=0)
        scale = np.float32(max(1.0, float(np.abs(mix).max())))
        return StemExample(mix=mix / scale, stems=stems / scale)

    def _crop(self, rng: np.random.Generator) -> FloatArray:
        """Return a random crop (S, 2, T) of a random track, silent behind its end, in another pitch and tempo."""
        config = self._config
        semitones = rng.uniform(*config.pitch_semitones) if rng.random() < config.pitch else 0.0
        tempo = rng.uniform(*config.stretch_tempo) if rng.random() < config.stretch else 1.0
        needed = self._samples if tempo == 1 else math.ceil(self._samples * tempo) + 1
        track = int(rng.choice(len(self._pool), p=self._weights))
        start = int(rng.integers(max(0, int(self._pool.durations[track]) - needed) + 1))
        stems = self._pool.read(track, start=start, length=needed)
        if semitones or tempo != 1:
            stems = change_pitch_and_tempo(stems, semitones=semitones, tempo=tempo, sample_rate=self._sample_rate)
        missing = max(0, self._samples - stems.shape[-1])
        return np.pad(stems, ((0, 0), (0, 0), (0, missing)))[..., : self._samples]

    def _change(self, wav: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return a source (2, T) after what happens to each for itself."""
        config = self._config
        if rng.random() < config.equaliser:
            limit_db = config.equaliser_db
            wav = augment.equalise(wav, augment.draw_equaliser(rng, limit_db=limit_db, sample_rate=self._sample_rate))
        if rng.random() < config.reverb:
            room = draw_room(
                rng,
                channels=CHANNELS,
                decay_s=rng.uniform(*config.reverb_s),
                level_db=rng.uniform(*config.reverb_level_db),
                sample_rate=self._sample_rate,
            )
            wav = augment.convolve(wav, room)
        if rng.random() < config.swap_channels:
            wav = wav[::-1]
        gain = np.float32(10 ** (rng.uniform(*config.gain_db) / 20))
        return wav * (-gain if rng.random() < config.flip_polarity else gain)

"""The audio and pictures of an evaluation page: what every system made of every recording."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile as sf

from training.datasets import FloatArray
from training.evaluation import SAMPLE_RATE, FileResult
from training.pairs import Pair, read_mono
from training.plots import save_spectrograms


class ListeningFolder:
    """Writes audio/<system>/<file>.wav and pictures/<file>.png into a folder."""

    def __init__(self, folder: Path) -> None:
        self._audio = folder / "audio"
        self._pictures = folder / "pictures"
        self._pictures.mkdir(parents=True, exist_ok=True)

    def add_output(self, system: str, result: FileResult, estimate: FloatArray) -> None:
        """Write what `system` made of a recording; what exceeds full scale is clipped."""
        self._write(system, result.name, estimate)

    def finish(self, pairs: Sequence[Pair], systems: Sequence[str]) -> None:
        """Write the recordings themselves, and a picture of each beside what the systems made of it."""
        for pair in pairs:
            noisy = read_mono(pair.noisy, sample_rate=SAMPLE_RATE)
            self._write("noisy", pair.name, noisy)
            signals = {"noisy": noisy}
            for system in systems:
                signals[system] = read_mono(self._path(system, pair.name), sample_rate=SAMPLE_RATE)
            if pair.clean is not None:
                signals["clean"] = read_mono(pair.clean, sample_rate=SAMPLE_RATE)
            save_spectrograms(self._pictures / f"{pair.name}.png", signals, sample_rate=SAMPLE_RATE)

    def _path(self, system: str, name: str) -> Path:
        return self._audio / system / f"{name}.wav"

    def _write(self, system: str, name: str, wav: FloatArray) -> None:
        path = self._path(system, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, np.clip(wav, -1.0, 1.0), SAMPLE_RATE, subtype="PCM_16")


class StemListeningFolder:
    """The same for separators: audio/noisy is the mix, audio/<system> the estimate, audio/clean the stem itself."""

    def __init__(self, folder: Path, *, sample_rate: int) -> None:
        self._folder = folder
        self._sample_rate = sample_rate
        self._names: dict[str, None] = {}

    def add_stem(
        self, system: str, result: FileResult, mix: FloatArray, estimate: FloatArray, reference: FloatArray
    ) -> None:
        """Write mix, estimate and reference of one stem, (2, T) each; what exceeds full scale is clipped."""
        self._names[result.name] = None
        for folder, wav in (("noisy", mix), (system, estimate), ("clean", reference)):
            path = self._path(folder, result.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            sf.write(path, np.clip(wav.T, -1.0, 1.0), self._sample_rate, subtype="PCM_16")

    def finish(self, systems: Sequence[str]) -> None:
        """Write a picture of every stem: the mix, what the systems made of it, and the stem itself."""
        for name in self._names:
            signals = {
                folder: read_mono(self._path(folder, name), sample_rate=self._sample_rate)
                for folder in ("noisy", *systems, "clean")
            }
            path = self._folder / "pictures" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_spectrograms(path, signals, sample_rate=self._sample_rate)

    def _path(self, system: str, name: str) -> Path:
        return self._folder / "audio" / system / f"{name}.wav"

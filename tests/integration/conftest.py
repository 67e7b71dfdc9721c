"""Recordings that more than one test trains on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf


@pytest.fixture(scope="session")
def speech_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a few generated clips of each kind, at 16 kHz. Only to be read."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for kind, count, samples in [("speech", 12, 24000), ("noise", 12, 16000), ("music", 1, 16000), ("rir", 1, 400)]:
        (root / kind).mkdir()
        for number in range(count):
            sf.write(root / kind / f"{number}.wav", 0.1 * rng.standard_normal(samples), 16000)
    return root

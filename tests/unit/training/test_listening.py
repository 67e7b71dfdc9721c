"""The folder in which a run's results can be heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from training.evaluation import FileResult
from training.listening import ListeningFolder
from training.pairs import read_pairs


def test_listening_folder_holds_audio_and_a_picture_of_every_recording(tmp_path: Path) -> None:
    (tmp_path / "data" / "noisy").mkdir(parents=True)
    wav = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    sf.write(tmp_path / "data" / "noisy" / "a.wav", wav, 16000)
    folder = ListeningFolder(tmp_path / "page")
    pairs = read_pairs(tmp_path / "data")
    result = FileResult(name="a", kind="pair", snr_db=None, duration_s=1.0, before={}, after={}, rtf=0.1)

    folder.add_output("loud", result, 100 * wav)
    folder.finish(pairs, ["loud"])

    assert {str(path.relative_to(tmp_path / "page")) for path in (tmp_path / "page").rglob("*.*")} == {
        "audio/loud/a.wav", "audio/noisy/a.wav", "pictures/a.png",
    }  # fmt: skip
    assert np.abs(sf.read(tmp_path / "page" / "audio" / "loud" / "a.wav")[0]).max() <= 1.0

"""Evaluation of separators on tracks of stems: SDR, SIR and SAR of every stem, against the mix itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from core.enhancement.protocol import Enhancer
from core.errors import InvalidOptions
from training.datasets import FloatArray
from training.evaluation import Evaluation, FileResult, run_engine
from training.separation.bss_eval import StemScores, score_stems
from training.separation.tracks import REST, Track, find_tracks, read_stems

REST_STEM = "other"

OnStem = Callable[[FileResult, FloatArray, FloatArray, FloatArray], None]
"""Takes the result of one stem with the mix, the estimate and the reference, each (2, T) at the engine's rate."""


def find_stem_tracks(root: Path, stems: Sequence[str]) -> list[Track]:
    """Return the tracks below `root` for an engine of these stems: files go by how their names begin.

    What begins like no stem belongs to `other`, where the engine has it.
    """
    return find_tracks(root, {stem: (REST,) if stem == REST_STEM else (f"{stem}*",) for stem in stems})


def evaluate_stems(system: str, engine: Enhancer, root: Path, *, on_stem: OnStem | None = None) -> Evaluation:
    """Return the evaluation of `engine` on the tracks below `root`: one result for every stem that sounds in a track.

    The mix is the sum of the stems, and the measures of the mix itself as an estimate are those before. The kind of a
    result is its stem. InvalidOptions for an engine of a single output, or that takes one channel.
    """
    info = engine.info
    if len(info.stems) < 2 or info.channels != 2:
        raise InvalidOptions(f"{info.name} does not take stereo mixes apart: it gives {', '.join(info.stems)}")
    results = []
    for track in find_stem_tracks(root, info.stems):
        references = read_stems(track, sample_rate=info.sample_rate)
        mix = references.sum(axis=0)
        started = time.process_time()
        estimates = run_engine(engine, mix)
        rtf = (time.process_time() - started) * info.sample_rate / mix.shape[-1]
        before = score_stems(np.broadcast_to(mix, references.shape), references)
        after = score_stems(estimates, references)
        for index, stem in enumerate(info.stems):
            if not track.files[index]:
                continue
            result = FileResult(
                name=f"{track.name}/{stem}",
                kind=stem,
                snr_db=None,
                duration_s=mix.shape[-1] / info.sample_rate,
                before=_figures(before, index),
                after=_figures(after, index),
                rtf=rtf,
            )
            results.append(result)
            if on_stem is not None:
                on_stem(result, mix, estimates[index], references[index])
    return Evaluation(system=system, files=results)


def _figures(scores: StemScores, index: int) -> dict[str, float]:
    return {
        "sdr_db": float(scores.sdr_db[index]),
        "sir_db": float(scores.sir_db[index]),
        "sar_db": float(scores.sar_db[index]),
    }

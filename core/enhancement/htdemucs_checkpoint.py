"""Separators that were trained here: an HTDemucs of the demucs package from a checkpoint of our own format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.enhancement.htdemucs import HTDemucsSeparator
from core.models.checkpoints import load_model

if TYPE_CHECKING:
    from demucs.htdemucs import HTDemucs

ARCHITECTURE = "htdemucs"


def build_htdemucs(**arguments: Any) -> HTDemucs:  # noqa: ANN401 - those of its constructor
    """Return a freshly initialised network; `sources`, `samplerate` and `segment` (s) are among the arguments."""
    from demucs.htdemucs import HTDemucs

    network: HTDemucs = HTDemucs(**arguments)
    return network


def checkpoint_arguments(
    arguments: Mapping[str, Any], *, sources: list[str], sample_rate: int, segment_s: float
) -> dict[str, Any]:
    """Return what `build_htdemucs` takes, and what the checkpoint's card keeps."""
    return {**arguments, "sources": sources, "samplerate": sample_rate, "segment": segment_s}


def load_separator(path: Path, *, shifts: int = 0, overlap: float = 0.25, device: str = "cpu") -> HTDemucsSeparator:
    """Return the engine of the checkpoint at `path`; ModelUnavailable when it is absent, damaged or of another kind."""
    from demucs.apply import BagOfModels

    card, network = load_model(path, architecture=ARCHITECTURE, build=build_htdemucs)
    return HTDemucsSeparator(
        BagOfModels([network]),
        name=card.name,
        licence=card.licence,
        weights_sha256=card.weights_sha256,
        shifts=shifts,
        overlap=overlap,
        device=device,
    )

"""The demucs source separators (htdemucs and its relatives) behind the `Enhancer` protocol.

The networks and `apply_model` are the `demucs` package's own; it is imported when an engine is made, not before.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from core.enhancement.protocol import (
    EnhancerInfo,
    FloatArray,
    ProgressCallback,
    SegmentPlan,
    SignalStatistics,
)
from core.errors import InvalidOptions
from core.model_catalogue import Bag, check_stems
from core.models.precision import Bfloat16Inside, bfloat16_products, flash_attention

if TYPE_CHECKING:
    from demucs.apply import BagOfModels, Model

MAX_SHIFTS = 10
MAX_OVERLAP = 0.75
SHIFT_S = 0.5
"""How far `apply_model` shifts at most, and how much zero padding it puts at both ends to do so."""

SEGMENT_S = 240.0
CROSSFADE_S = 0.1
STD_FLOOR = 1e-8


class HTDemucsSeparator:
    """Stems of a stereo mix at 44.1 kHz by a bag of demucs networks.

    `shifts` (0..10) averages that many randomly shifted passes; 0 and 1 both make one pass, 1 at a random offset.
    `overlap` (0..0.75) is that of the networks' own chunks. `stems` chooses outputs and their order; members of the bag
    that contribute to none of them do not run, so one stem of htdemucs_ft costs a quarter. InvalidOptions names what is
    out of range or unknown.

    With `shifts` 0, long recordings cut by `info.segment` give the same samples as one `apply_model` over the whole:
    the segments start on the chunks' own grid, and the context holds every chunk that reaches into what is kept. (Not
    quite so for the waveform networks within mdx and repro_mdx_a, which look a little beyond their chunk.) With
    `shifts` > 0 each segment draws its own offsets, so the results differ as two runs with different seeds do.

    `has_fast_transformer` runs the transformers' products in bfloat16: a quarter faster where the CPU has them, and
    still within 60 dB of the package's own result. `is_fast` runs everything in bfloat16: faster again, and only within
    40 dB. `bag` is the separator's own from then on.
    """

    def __init__(
        self,
        bag: BagOfModels,
        *,
        name: str,
        licence: str,
        weights_sha256: str | None = None,
        shifts: int = 0,
        overlap: float = 0.25,
        stems: Sequence[str] | None = None,
        device: str = "cpu",
        has_fast_transformer: bool = False,
        is_fast: bool = False,
    ) -> None:
        check_settings(shifts=shifts, overlap=overlap)
        wanted = tuple(bag.sources) if stems is None else check_stems(stems, available=bag.sources, model=name)
        self._bag = _only_members_for(bag, wanted)
        if has_fast_transformer:
            _speed_up_transformers(self._bag)
        self._indices = [bag.sources.index(stem) for stem in wanted]
        self._shifts = shifts
        self._overlap = overlap
        self._device = torch.device(device)
        self._info = EnhancerInfo(
            name=name,
            sample_rate=bag.samplerate,
            channels=bag.audio_channels,
            stems=wanted,
            segment=plan_segments(bag, overlap=overlap),
            weights_sha256=weights_sha256,
            licence=licence,
            is_fast=is_fast,
        )

    @property
    def info(self) -> EnhancerInfo:
        """What the engine states about itself."""
        return self._info

    def enhance(
        self,
        wav: FloatArray,
        sample_rate: int,
        *,
        statistics: SignalStatistics,
        seed: int = 0,
        on_progress: ProgressCallback | None = None,
    ) -> FloatArray:
        """Return the stems (S, 2, T) of a mix `wav` (2, T) at 44.1 kHz.

        Normalised by `statistics` of the recording's mono mix. `seed` chooses the random shifts. `on_progress` is
        called around each chunk; what it raises stops the separation. `ValueError` for another rate or channel count.
        Silence gives exact silence.
        """
        from demucs.apply import apply_model

        info = self._info
        if sample_rate != info.sample_rate or wav.ndim != 2 or wav.shape[0] != info.channels:
            raise ValueError(
                f"{info.name} takes ({info.channels}, T) at {info.sample_rate} Hz, got {wav.shape} at {sample_rate} Hz"
            )
        if not wav.any():
            return np.zeros((len(info.stems), *wav.shape), dtype=np.float32)
        scale = statistics.std + STD_FLOOR
        mix = torch.from_numpy(np.array(wav, dtype=np.float32)).sub_(statistics.mean).div_(scale)
        products = bfloat16_products(self._device, enabled=info.is_fast)
        with _seeded_random(seed), flash_attention(), torch.inference_mode(), products:
            estimates = apply_model(
                self._bag,
                mix[None],
                shifts=self._shifts,
                overlap=self._overlap,
                device=self._device,
                callback=self._chunk_callback(wav.shape[1], on_progress) if on_progress else None,
            )[0, self._indices]
            estimates.mul_(scale).add_(statistics.mean)
        if on_progress is not None:
            on_progress(1.0)
        return estimates.numpy()

    def _chunk_callback(self, samples: int, on_progress: ProgressCallback) -> Callable[[Mapping[str, Any]], None]:
        """Return what `apply_model` calls at the start and the end of each chunk; it reports finished / expected."""
        expected = count_chunks(self._bag, samples, shifts=self._shifts, overlap=self._overlap)
        finished = 0

        def report(state: Mapping[str, Any]) -> None:
            nonlocal finished
            if state["state"] == "end":
                finished += 1
            # A random shift can make one chunk more or less than expected; the last word is said after the joins.
            on_progress(min(finished / expected, 1.0))

        return report


def make_bag(members: Mapping[str, Model], bag: Bag) -> BagOfModels:
    """Return the bag that the catalogue describes, of its networks by signature."""
    from demucs.apply import BagOfModels

    weights = None if bag.weights is None else [list(row) for row in bag.weights]
    return BagOfModels([members[signature] for signature in bag.members], weights, bag.segment_s)


def check_settings(*, shifts: int, overlap: float) -> None:
    """Raise InvalidOptions unless `shifts` is in 0..10 and `overlap` in 0..0.75."""
    if not 0 <= shifts <= MAX_SHIFTS:
        raise InvalidOptions(f"shifts = {shifts} is not in 0..{MAX_SHIFTS}.")
    if not 0 <= overlap <= MAX_OVERLAP:
        raise InvalidOptions(f"overlap = {overlap} is not in 0..{MAX_OVERLAP}.")


def plan_segments(bag: BagOfModels, *, overlap: float) -> SegmentPlan:
    """Return segments of about 4 minutes on the grid of the networks' chunks.

    A kept sample needs every chunk that covers it, whole: on the right, one chunk length; on the left, from the first
    such chunk on. The last chunk of a recording is shorter and filled up with up to half a chunk of what lies before
    it: another half on the left. Memory (5-6 MB for each second) sets the segment.
    """
    chunk, stride = _chunk_grid(bag, overlap=overlap)
    crossfade = min(round(CROSSFADE_S * bag.samplerate), stride)
    left = (math.ceil((chunk + crossfade) / stride) - 1) * stride + math.ceil(chunk / 2)
    right = chunk + crossfade
    return SegmentPlan(
        segment_samples=math.ceil(SEGMENT_S * bag.samplerate / stride) * stride,
        context_samples=math.ceil(max(left, right) / stride) * stride,
        crossfade_samples=crossfade,
        grid_samples=stride,
    )


def count_chunks(bag: BagOfModels, samples: int, *, shifts: int, overlap: float) -> int:
    """Return how many network calls `apply_model` makes for a mix of `samples`, at most."""
    reach = samples + (int(SHIFT_S * bag.samplerate) if shifts else 0)
    _, stride = _chunk_grid(bag, overlap=overlap)
    return len(bag.models) * max(shifts, 1) * math.ceil(reach / stride)


def _chunk_grid(bag: BagOfModels, *, overlap: float) -> tuple[int, int]:
    """Return length and distance of the chunks that `apply_model` cuts, in samples."""
    chunk = max(int(bag.samplerate * member.segment) for member in bag.models)
    return chunk, int((1 - overlap) * chunk)


def _only_members_for(bag: BagOfModels, stems: Sequence[str]) -> BagOfModels:
    """Return a bag of those members that have a weight in one of `stems`."""
    from demucs.apply import BagOfModels

    columns = [bag.sources.index(stem) for stem in stems]
    kept = [index for index, row in enumerate(bag.weights) if any(row[column] for column in columns)]
    members = cast("list[Model]", [bag.models[index] for index in kept])
    # Stems that nobody asked for are averaged over the members that are left: a total weight of 0 would give NaN.
    weights = [
        [value if column in columns else 1.0 for column, value in enumerate(bag.weights[index])] for index in kept
    ]
    return BagOfModels(members, weights)


def _speed_up_transformers(bag: BagOfModels) -> None:
    """Let the transformer of every member that has one run in bfloat16."""
    for member in bag.models:
        transformer = getattr(member, "crosstransformer", None)
        if transformer is not None and not isinstance(transformer, Bfloat16Inside):
            member.crosstransformer = Bfloat16Inside(transformer)


@contextmanager
def _seeded_random(seed: int) -> Iterator[None]:
    """Seed Python's global generator, which `apply_model` draws its shifts from, and restore its state afterwards."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)

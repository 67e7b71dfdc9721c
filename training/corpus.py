"""A corpus as pools of clips for training, validation and test, which share no speaker and no source clip."""

from __future__ import annotations

from pathlib import Path

from core.errors import InvalidOptions
from training.datasets import AudioPool, Clip, Kind, Split, list_clips, load_pools, split_of, with_effects
from training.recipe import DataSection

Pools = dict[Kind, AudioPool]


def load_split_pools(data: DataSection, *, sample_rate: int, cache: Path) -> dict[Split, Pools]:
    """Return the pools of each split, decoded into `data.cache`, or else `cache`.

    Rooms and music are few: a held-out side that got none borrows those of training. InvalidOptions without a corpus.
    """
    if data.root is None or not data.root.is_dir():
        raise InvalidOptions("The recipe needs a corpus: give data.root=FOLDER with speech and noise")
    sides: dict[Split, list[Clip]] = {"train": [], "validation": [], "test": []}
    for clip in with_effects(list_clips(data.root), sources=data.effects_from):
        side = split_of(clip.unit, validation_fraction=data.validation_fraction, test_fraction=data.test_fraction)
        sides[side].append(clip)
    cache = data.cache or cache
    pools = {side: load_pools(data.root, clips, sample_rate=sample_rate, cache=cache) for side, clips in sides.items()}
    return {side: pools["train"] | found for side, found in pools.items()}

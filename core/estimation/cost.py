"""What options cost: how often the model's network passes over the recording. The API asks too: no PyTorch here."""

from __future__ import annotations

from collections.abc import Sequence

from core.model_catalogue import Architecture, Bag, ModelRecord, find_model
from core.options import EnhanceOptions


def relative_cost(options: EnhanceOptions) -> float:
    """Passes of one network over the recording; 0 where none runs.

    For the demucs family members * max(shifts, 1) / (1 - overlap), for long recordings: 1.11 for the preset `fast`, 64
    for `maximum`. Members of a bag that none of the chosen stems needs do not run. Other models pass once.
    """
    if options.model is None or options.strength == 0:
        return 0.0
    record = find_model(options.model)
    if record.architecture is not Architecture.DEMUCS or record.bag is None:
        return 1.0
    members = _members(record, record.bag, options.stems)
    return members * max(options.shifts, 1) / (1 - options.overlap)


def _members(record: ModelRecord, bag: Bag, stems: Sequence[str] | None) -> int:
    if bag.weights is None or stems is None:
        return len(bag.members)
    columns = [record.stems.index(stem) for stem in stems if stem in record.stems]
    return sum(any(row[column] for column in columns) for row in bag.weights)

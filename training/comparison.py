"""Two systems on the same recordings: the differences file by file, whose interval is narrower than that of either."""

from __future__ import annotations

from collections.abc import Mapping

from training.evaluation import Evaluation, Summary, summarise_rows


def compare(first: Evaluation, second: Evaluation) -> dict[str, Summary]:
    """Return mean and 95 % paired bootstrap interval of `second` - `first`, by measure, over the files of both.

    The interval is that of the mean of the differences: recordings that are hard for both widen it no more.
    """
    by_name = {file.name: file.after for file in first.files}
    return summarise_rows(
        [_difference(by_name[file.name], file.after) for file in second.files if file.name in by_name]
    )


def compare_by_snr(first: Evaluation, second: Evaluation) -> dict[str, dict[str, Summary]]:
    """Return `compare` for every band of input SNR that both have files in."""
    first_bands, second_bands = first.by_snr_band(), second.by_snr_band()
    return {band: compare(first_bands[band], part) for band, part in second_bands.items() if band in first_bands}


def _difference(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    return {name: second[name] - first[name] for name in second if name in first}

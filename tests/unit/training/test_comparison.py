"""Two systems side by side: differences are taken file by file."""

from __future__ import annotations

import numpy as np
import pytest

from training import report
from training.comparison import compare, compare_by_snr
from training.evaluation import Evaluation, FileResult


def evaluation(system: str, scores: list[float], *, first: int = 0) -> Evaluation:
    """Files numbered from `first`, at 5 dB and 20 dB in turn."""
    files = [
        FileResult(
            name=str(first + number),
            kind="mix",
            snr_db=20.0 if number % 2 else 5.0,
            duration_s=1.0,
            before={"pesq": 1.0},
            after={"pesq": score},
            rtf=0.1,
        )
        for number, score in enumerate(scores)
    ]
    return Evaluation(system=system, files=files)


def test_small_steady_gain_is_told_from_large_spread_between_files() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(1.0, 4.0, 30)
    first = evaluation("old", scores.tolist())
    second = evaluation("new", (scores + rng.normal(0.05, 0.02, 30)).tolist())

    found = compare(first, second)["pesq"]

    assert found.mean == pytest.approx(0.05, abs=0.01)
    assert 0 < found.low < found.mean < found.high < 0.07
    alone = [system.summarise()["after"]["pesq"] for system in (first, second)]
    assert alone[0].high > alone[1].low  # the intervals of each for itself overlap


def test_files_are_matched_by_name() -> None:
    found = compare(evaluation("a", [1.0, 2.0, 3.0]), evaluation("b", [2.5, 3.5, 9.0], first=1))

    assert found["pesq"].files == 2
    assert found["pesq"].mean == pytest.approx(0.5)


def test_bands_are_compared_each_for_itself() -> None:
    bands = compare_by_snr(evaluation("a", [1.0, 2.0, 1.0, 2.0]), evaluation("b", [1.5, 2.0, 1.5, 2.0]))

    assert [found["pesq"].mean for found in bands.values()] == [0.5, 0.0]


def test_report_compares_the_others_with_the_first() -> None:
    evaluations = [evaluation("a", [1.0, 2.0]), evaluation("b", [1.5, 2.5]), evaluation("c", [0.5, 1.5])]

    record = report.as_record(evaluations)
    titles = [title for title, _ in report.tables(evaluations)]

    assert record["a"]["against"] is None
    assert record["b"]["against"]["system"] == "a"
    assert record["c"]["against"]["mean"]["pesq"]["mean"] == pytest.approx(-0.5)
    assert set(record["c"]["against"]["by_snr"]) == set(record["c"]["by_snr"])
    assert titles[-2:] == ["b against a", "c against a"]
    assert report.comparison_rows(evaluations[0], evaluations[1])[1] == ["PESQ", "+0.50", "+0.50 .. +0.50", "2"]

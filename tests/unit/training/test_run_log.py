"""What a run writes while it goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from training.loop import History
from training.run_log import TensorBoardLog, write_history


def make_history(steps: int) -> History:
    return History(
        steps=[{"step": float(step), "loss": 1 / step} for step in range(1, steps + 1)],
        validations=[{"step": float(step), "loss": 2 / step, "pesq": 1.5} for step in range(2, steps + 1, 2)],
    )


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]


def test_events_hold_every_row_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log = TensorBoardLog(tmp_path)

    log(make_history(2))
    log(make_history(4))
    log.close()

    assert scalars(tmp_path, "training/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)]
    assert scalars(tmp_path, "validation/pesq") == [(2, 1.5), (4, 1.5)]


def test_resumed_run_goes_on_behind_what_is_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    first = TensorBoardLog(tmp_path)
    first(make_history(3))
    first.close()

    second = TensorBoardLog(tmp_path, first_step=2)
    second(make_history(4))
    second.close()

    assert scalars(tmp_path, "training/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)]


def test_rows_that_measured_less_leave_their_columns_empty(tmp_path: Path) -> None:
    history = make_history(4)
    del history.validations[0]["pesq"]

    write_history(tmp_path, history)

    with (tmp_path / "validations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["pesq"] for row in rows] == ["", "1.5"]
    assert (tmp_path / "curves.png").stat().st_size > 1000

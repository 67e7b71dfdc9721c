"""What a run leaves to look at while it goes on: CSV files, curves, and TensorBoard events where they are wanted."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.errors import InvalidOptions
from training.loop import History
from training.plots import save_curves

SPEECH_MEASURES = ("pesq", "si_sdr_gain_db")
"""Those of a validation that are drawn."""


def write_history(run_dir: Path, history: History, *, measures: tuple[str, str] = SPEECH_MEASURES) -> None:
    """Write history.csv, validations.csv and curves.png, as far as there is something to write."""
    _write_csv(run_dir / "history.csv", history.steps)
    _write_csv(run_dir / "validations.csv", history.validations)
    save_curves(run_dir / "curves.png", steps=history.steps, validations=history.validations, measures=measures)


class TensorBoardLog:
    """Adds the rows of a history that are new since the last call to the events in a folder.

    Rows up to `first_step`, which a resumed run has written before, count as written; what an interrupted run wrote
    beyond it is hidden from the curves. Raises InvalidOptions where the package is not installed.
    """

    def __init__(self, folder: Path, *, first_step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise InvalidOptions("loop.tensorboard needs a package: pip install 'limpid[tensorboard]'") from error
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1 if first_step else None)
        self._last = {"training": first_step, "validation": first_step}

    def __call__(self, history: History) -> None:
        """Write what is new, and flush it to the disk."""
        self._add("training", history.steps)
        self._add("validation", history.validations)
        self._writer.flush()

    def _add(self, group: str, rows: Sequence[Mapping[str, float]]) -> None:
        for row in rows:
            step = int(row["step"])
            if step <= self._last[group]:
                continue
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(f"{group}/{name}", value, step)
            self._last[group] = step

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def log_to(
    run_dir: Path, *, tensorboard: bool, first_step: int, measures: tuple[str, str] = SPEECH_MEASURES
) -> Callable[[History], None]:
    """Return what a trainer calls with its history: it writes everything that the recipe asks for."""
    events = TensorBoardLog(run_dir / "tensorboard", first_step=first_step) if tensorboard else None

    def write(history: History) -> None:
        write_history(run_dir, history, measures=measures)
        if events is not None:
            events(history)

    return write


def _write_csv(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    if not rows:
        return
    # Rows of a resumed run may come from a version that measured less.
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)

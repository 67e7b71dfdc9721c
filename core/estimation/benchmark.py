"""What `limpid bench` measured on this machine, kept in the data folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.atomic_files import write_atomically

logger = logging.getLogger(__name__)

FILE_NAME = "benchmark.json"


class BenchmarkRun(BaseModel):
    """One preset on this machine's CPU."""

    model_config = ConfigDict(frozen=True)

    preset: str
    model: str | None
    relative_cost: float = Field(ge=0)  # passes of the network, core.estimation.cost
    rtf: float = Field(gt=0, allow_inf_nan=False)
    duration_s: float = Field(gt=0)  # of the recording
    threads: int = Field(ge=1)
    measured_at: datetime


class Benchmark(BaseModel):
    """The newest run of each preset."""

    model_config = ConfigDict(frozen=True)

    runs: tuple[BenchmarkRun, ...] = ()


def read_benchmark(data_dir: Path) -> Benchmark | None:
    """What is kept in `data_dir`; None, with a warning where there is a file, when it cannot be used."""
    try:
        text = (data_dir / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("benchmark_not_read", extra={"reason": error.strerror})
        return None
    try:
        return Benchmark.model_validate_json(text)
    except ValidationError as error:
        logger.warning("benchmark_not_read", extra={"reason": f"{error.error_count()} values are not valid"})
        return None


def keep_runs(runs: Sequence[BenchmarkRun], data_dir: Path) -> Path:
    """Write `runs` over what is kept of the same presets, in one rename; return the file. OSError when it cannot."""
    kept = read_benchmark(data_dir)
    by_preset = {run.preset: run for run in (*(kept.runs if kept else ()), *runs)}
    text = Benchmark(runs=tuple(by_preset.values())).model_dump_json(indent=2)
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / FILE_NAME
    write_atomically(path, f"{text}\n".encode())
    return path

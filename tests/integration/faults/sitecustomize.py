"""Faults for worker processes under test. Python loads this file by itself when its folder is on PYTHONPATH.

The recording's name chooses the fault; every run adds its process id to `<gates>/<name>.runs`.

    poison*   kills its own process, as the kernel does when memory runs out
    gated*    reports progress over and over until the file `<gates>/<name>` exists, then goes on

A file `<gates>/incomplete` makes the installation one that lacks the pipeline.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import core.enhancement.pipeline as pipeline_module
from core.jobs import Progress, Stage

GATES = Path(os.environ["LIMPID_TEST_GATES"])
STEP_S = 0.02

_run_pipeline = pipeline_module.run_pipeline


def run_pipeline(source: Path, *, input_name: str, on_progress: Any, **rest: Any) -> Any:  # noqa: ANN401
    """The real pipeline, after the fault that `input_name` asks for."""
    with (GATES / f"{input_name}.runs").open("a", encoding="utf-8") as runs:
        runs.write(f"{os.getpid()}\n")
    if input_name.startswith("poison"):
        os.kill(os.getpid(), signal.SIGKILL)
    if input_name.startswith("gated"):
        while not (GATES / input_name).exists():
            on_progress(Stage.ENHANCE, Progress(fraction=0.5))
            time.sleep(STEP_S)
    return _run_pipeline(source, input_name=input_name, on_progress=on_progress, **rest)


pipeline_module.run_pipeline = run_pipeline
if (GATES / "incomplete").exists():
    sys.modules["core.enhancement.pipeline"] = None  # type: ignore[assignment]

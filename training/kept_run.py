"""What every kind of run does around its trainer: resume, log, train, and leave a checkpoint whatever happens."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml
from torch import nn

from core.models.checkpoints import CheckpointCard, save_checkpoint
from training.distributed import Workers
from training.loop import Report, ReportT, Trainer
from training.recipe import LoopSection, Section
from training.run_log import SPEECH_MEASURES, log_to

logger = logging.getLogger(__name__)


def new_run_id() -> str:
    """Return what tells the checkpoints of this run from those of any other."""
    return uuid.uuid4().hex[:12]


def keep_best(checkpoint: Path, *, card: CheckpointCard) -> Callable[[nn.Module, Report, int], None]:
    """Return a `Trainer`'s `on_best`: it writes the network to `checkpoint`, and on `card` the step and its figures."""

    def keep(best: nn.Module, report: Report, step: int) -> None:
        # What there was nothing to measure of (nan) has no place in JSON.
        measured = {name: value for name, value in report.as_dict().items() if math.isfinite(value)}
        figures = {"step": float(step), **{f"validation_{name}": value for name, value in measured.items()}}
        save_checkpoint(checkpoint, best.state_dict(), card=replace(card, metrics=figures))

    return keep


def train_and_keep(
    trainer: Trainer[ReportT],
    recipe: Section,
    loop: LoopSection,
    *,
    run_dir: Path,
    checkpoint: Path,
    resume: bool,
    workers: Workers,
    measures: tuple[str, str] = SPEECH_MEASURES,
) -> None:
    """Train to the end of the recipe's loop; `checkpoint` is there afterwards.

    Goes on where the folder's last run stopped if `resume`. The folder receives the resolved recipe, and at every
    validation the CSV files and the curves of two `measures`.
    """
    if resume and trainer.load_state():
        logger.info("resumed", extra={"step": trainer.step})
    if workers.is_first:
        (run_dir / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
        trainer.on_validated = log_to(run_dir, tensorboard=loop.tensorboard, first_step=trainer.step, measures=measures)
    trainer.run()
    if workers.is_first and not checkpoint.is_file():
        trainer.validate()

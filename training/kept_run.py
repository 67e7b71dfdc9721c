"""What every kind of run does around its trainer: resume, log, train, and leave a checkpoint whatever happens."""

from __future__ import annotations

import logging
from pathlib import Path

import yaml

from training.distributed import Workers
from training.loop import ReportT, Trainer
from training.recipe import LoopSection, Section
from training.run_log import SPEECH_MEASURES, log_to

logger = logging.getLogger(__name__)


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

"""Several processes of one run, here as threads: they share a batch, agree, and stay the same to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
import torch
import torch.distributed as dist
from torch import nn

from core.models.band_split_lstm import BandSplitLstm
from tests.unit.training.test_loop import make_trainer
from training.distributed import SOLO, Workers, join_workers
from training.loop import Trainer
from training.recipe import LoopSection
from training.validation import ValidationReport

T = TypeVar("T")


def together(work: Callable[[Workers], T]) -> list[T]:
    """Return what `work` returns for each of two workers that have met."""
    store = dist.HashStore()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda rank: work(join_workers(store, rank=rank, count=2)), range(2)))


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return BandSplitLstm(width=8, hidden=8, blocks=1)


def trainers(run_dir: Path, steps: int, *, resume: bool = False) -> list[Trainer[ValidationReport]]:
    """Return both workers' trainers after `steps` steps in all; those of the first are saved."""
    networks = [small_network(), small_network()]

    def train(workers: Workers) -> Trainer[ValidationReport]:
        trainer = make_trainer(run_dir, network=networks[workers.rank], workers=workers, batch_size=4, steps=steps)
        if resume:
            assert trainer.load_state()
        trainer.run()
        return trainer

    return together(train)


def test_gradients_and_loss_are_averaged() -> None:
    def average(workers: Workers) -> tuple[list[float], float]:
        parameter = nn.Parameter(torch.zeros(2))
        parameter.grad = torch.tensor([1.0, 10.0]) * (workers.rank + 1)
        loss = workers.average_gradients([parameter, nn.Parameter(torch.zeros(1))], torch.tensor(float(workers.rank)))
        return parameter.grad.tolist(), loss

    assert together(average) == [([1.5, 15.0], 0.5)] * 2


def test_first_worker_decides() -> None:
    assert together(lambda workers: workers.agree(workers.is_first)) == [True, True]
    assert together(lambda workers: workers.agree(not workers.is_first)) == [False, False]


def test_worker_alone_decides_for_itself() -> None:
    assert SOLO.agree(True)
    assert not SOLO.agree(False)


def test_two_workers_take_the_steps_of_one(tmp_path: Path) -> None:
    first, second = trainers(tmp_path / "two", 3)
    alone = make_trainer(tmp_path / "one", network=small_network(), batch_size=4, steps=3)
    alone.run()

    assert [row["loss"] for row in first.history.steps] == pytest.approx(
        [row["loss"] for row in alone.history.steps], rel=1e-4
    )
    assert second.history.steps == []
    for parameter, other in zip(first.network.parameters(), second.network.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=0, atol=0)


def test_two_workers_resume_exactly(tmp_path: Path) -> None:
    whole, _ = trainers(tmp_path / "whole", 4)
    # The schedule depends on the length of the run, so that the first part must be a run of four steps that is stopped.
    networks = [small_network(), small_network()]

    def stop_after_two(workers: Workers) -> int:
        trainer = make_trainer(
            tmp_path / "parts", network=networks[workers.rank], workers=workers, batch_size=4, steps=4
        )
        trainer.train_step()
        trainer.train_step()
        if workers.is_first:
            trainer.save_state()
        return trainer.step

    stopped = together(stop_after_two)

    resumed, _ = trainers(tmp_path / "parts", 4, resume=True)

    assert stopped == [2, 2]
    assert [row["loss"] for row in resumed.history.steps] == [row["loss"] for row in whole.history.steps[2:]]


def test_batch_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 5 is not a multiple of processes 2"):
        LoopSection(steps=1, batch_size=5, processes=2)

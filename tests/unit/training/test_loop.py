"""The training loop: it learns, stops, resumes exactly, and keeps the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.models.band_split_lstm import BandSplitLstm
from core.models.mask_cnn import MaskCnn
from training.averaging import MovingAverage
from training.distributed import SOLO, Workers
from training.loop import Trainer, freeze
from training.losses.combined import build_loss
from training.mixing import Example
from training.recipe import LoopSection, OptimiserSection
from training.validation import ValidationReport

SAMPLES = 8064


def sine_in_noise(index: int) -> Example:
    rng = np.random.default_rng(index)
    clean = 0.1 * np.sin(2 * np.pi * rng.uniform(200, 2000) * np.arange(SAMPLES) / 16000)
    noisy = clean + 0.05 * rng.standard_normal(SAMPLES)
    return Example(noisy=noisy.astype(np.float32), clean=clean.astype(np.float32), snr_db=3.0)


class SineMixer:
    """Stands in for the mixer; one fixed batch when `is_fixed`, else a new one at every step."""

    def __init__(self, *, is_fixed: bool = False) -> None:
        self._is_fixed = is_fixed

    def batch(self, step: int, batch_size: int, *, rank: int = 0, ranks: int = 1) -> tuple[Tensor, Tensor]:
        first = 0 if self._is_fixed else step * batch_size
        examples = [sine_in_noise(first + offset) for offset in range(rank, batch_size, ranks)]
        noisy = torch.from_numpy(np.stack([example.noisy for example in examples]))
        return noisy, torch.from_numpy(np.stack([example.clean for example in examples]))


def make_report(**figures: float) -> ValidationReport:
    values = dict.fromkeys((field.name for field in fields(ValidationReport)), 0.0) | figures
    return ValidationReport(**values)


def make_trainer(
    run_dir: Path,
    *,
    network: nn.Module | None = None,
    mixer: SineMixer | None = None,
    on_best: Callable[[nn.Module, ValidationReport, int], None] = lambda network, report, step: None,
    judge: Callable[[nn.Module], ValidationReport] | None = None,
    losses: dict[str, float] | None = None,
    optimiser: OptimiserSection | None = None,
    workers: Workers = SOLO,
    **loop: Any,  # noqa: ANN401 - any setting of the loop
) -> Trainer[ValidationReport]:
    torch.manual_seed(0)
    settings = {"steps": 6, "batch_size": 2, "validate_every": 100, "log_every": 1, "ema_decay": 0.9, **loop}
    return Trainer(
        network or MaskCnn(channels=(4, 4)),
        mixer or SineMixer(),  # type: ignore[arg-type]
        loss=build_loss(losses or {"magnitude_l1": 1.0}),
        loop=LoopSection(**settings),
        optimiser=optimiser or OptimiserSection(schedule="cosine", warmup_steps=2),
        judge=judge or (lambda network: make_report()),
        run_dir=run_dir,
        on_best=on_best,
        workers=workers,
    )


def judge_with(scores: list[float]) -> Callable[[nn.Module], ValidationReport]:
    """Stands in for the measures, which take seconds: gives these PESQ scores in turn."""
    remaining = iter(scores)
    return lambda network: make_report(pesq=next(remaining))


@pytest.mark.parametrize(
    ("network", "losses"),
    [
        (MaskCnn(channels=(8, 8), feature_gain=100.0), {"magnitude_l1": 1.0, "compressed_magnitude_l1": 1.0}),
        (BandSplitLstm(width=16, hidden=16, blocks=1), {"compressed_spectrum": 1.0, "snr": 0.005}),
    ],
)
def test_network_overfits_one_batch(tmp_path: Path, network: nn.Module, losses: dict[str, float]) -> None:
    trainer = make_trainer(
        tmp_path,
        network=network,
        mixer=SineMixer(is_fixed=True),
        losses=losses,
        optimiser=OptimiserSection(schedule="constant", learning_rate=1e-2),
        steps=100,
    )

    first, _ = trainer.train_step()
    for _ in range(11):
        last, _ = trainer.train_step()

    assert last < first - 0.4 * abs(first)


def test_resumed_run_has_the_same_losses_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    whole = make_trainer(tmp_path / "whole").run()
    stopped = make_trainer(tmp_path / "parts")
    for _ in range(3):
        stopped.train_step()
    stopped.save_state()

    resumed = make_trainer(tmp_path / "parts", network=MaskCnn(channels=(4, 4)))
    assert resumed.load_state()
    rest = resumed.run()

    assert [row["loss"] for row in rest.steps] == [row["loss"] for row in whole.steps[3:]]


def test_resumed_average_and_optimiser_equal_those_of_a_whole_run(tmp_path: Path) -> None:
    whole = make_trainer(tmp_path / "whole")
    whole.run()
    stopped = make_trainer(tmp_path / "parts")
    stopped.train_step()
    stopped.save_state()

    resumed = make_trainer(tmp_path / "parts")
    resumed.load_state()
    resumed.run()

    expected = whole.averaged_network.state_dict()
    for key, value in resumed.averaged_network.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=0)


def test_fresh_folder_has_nothing_to_resume(tmp_path: Path) -> None:
    assert not make_trainer(tmp_path).load_state()


def test_best_is_kept_and_patience_ends_the_run(tmp_path: Path) -> None:
    kept: list[tuple[float, int]] = []
    trainer = make_trainer(
        tmp_path,
        steps=50,
        validate_every=1,
        patience=2,
        judge=judge_with([1.5, 1.8, 1.7, 1.6, 1.9]),
        on_best=lambda network, report, step: kept.append((report.pesq, step)),
    )

    trainer.run()

    assert kept == [(1.5, 1), (1.8, 2)]
    assert trainer.step == 4


def test_time_limit_stops_in_good_order(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, steps=50, max_minutes=0.0)

    trainer.run()

    assert trainer.step == 1
    resumed = make_trainer(tmp_path)
    assert resumed.load_state()
    assert resumed.step == 1


def test_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    with torch.no_grad():
        next(iter(trainer.network.parameters())).fill_(float("nan"))

    with pytest.raises(FloatingPointError, match="step 0"):
        trainer.train_step()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_steps_of_half_the_width_train_float32_weights(tmp_path: Path, precision: str) -> None:
    trainer = make_trainer(tmp_path, precision=precision)

    loss, _ = trainer.train_step()

    assert np.isfinite(loss)
    assert {parameter.dtype for parameter in trainer.network.parameters()} == {torch.float32}


def test_float16_run_resumes_with_its_loss_scale(tmp_path: Path) -> None:
    whole = make_trainer(tmp_path / "whole", precision="float16", steps=4).run()
    stopped = make_trainer(tmp_path / "parts", precision="float16", steps=4)
    stopped.train_step()
    stopped.train_step()
    stopped.save_state()

    resumed = make_trainer(tmp_path / "parts", precision="float16", steps=4)
    resumed.load_state()

    assert [row["loss"] for row in resumed.run().steps] == [row["loss"] for row in whole.steps[2:]]


def test_history_is_shown_at_every_validation_and_at_the_end(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, steps=5, validate_every=2)
    shown: list[tuple[int, int]] = []
    trainer.on_validated = lambda history: shown.append((len(history.steps), len(history.validations)))

    trainer.run()

    assert shown == [(2, 1), (4, 2), (5, 3)]


def test_history_of_a_run_that_is_stopped_between_validations_is_shown_too(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, steps=50, max_minutes=0.0)
    shown: list[int] = []
    trainer.on_validated = lambda history: shown.append(len(history.steps))

    trainer.run()

    assert shown == [1]


def test_gradient_is_shortened_to_the_limit(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, optimiser=OptimiserSection(clip_norm=1e-3))

    _, norm = trainer.train_step()

    gradients = [parameter.grad for parameter in trainer.network.parameters() if parameter.grad is not None]
    assert norm > 1e-2  # what is reported is the length before
    assert torch.stack([gradient.norm() for gradient in gradients]).norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_frozen_parameters_do_not_move(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, freeze=("layers.0.*",))
    before = {key: value.clone() for key, value in trainer.network.named_parameters()}

    trainer.train_step()

    moved = {key for key, value in trainer.network.named_parameters() if not torch.equal(value, before[key])}
    assert "layers.0.weight" not in moved
    assert "layers.6.weight" in moved


def test_freezing_takes_shell_patterns() -> None:
    network = MaskCnn(channels=(4, 4))

    freeze(network, ["layers.[03].weight"])

    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {"layers.0.weight", "layers.3.weight"}


def test_average_forgets_its_start_and_then_moves_at_its_decay() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = MovingAverage(network, decay=0.5)
    with torch.no_grad():
        network.weight.fill_(1.0)
        (weight,) = average.average.parameters()
        weight.fill_(0.0)

    average.update(network, steps_done=1)
    assert weight.item() == pytest.approx(1 - 2 / 11)
    average.update(network, steps_done=1000)
    assert weight.item() == pytest.approx(1 - 1 / 11)

"""The training loop: batch, forward, backward, clip, step, average, validate, save; it resumes exactly."""

from __future__ import annotations

import fnmatch
import io
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from core.atomic_files import write_atomically
from core.errors import InvalidOptions
from training.adversary import Adversary
from training.architectures import enhance_batch, pick_device
from training.averaging import MovingAverage
from training.clipping import NormLimit
from training.distributed import SOLO, Workers
from training.losses.stages import Loss, StageLoss
from training.recipe import LoopSection, OptimiserSection
from training.schedule import learning_rate_factor

logger = logging.getLogger(__name__)

STATE_FILE = "state.pt"
AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class History:
    """What a run has shown so far: one row per logged step, one per validation."""

    steps: list[dict[str, float]] = field(default_factory=list)
    validations: list[dict[str, float]] = field(default_factory=list)


class BatchSource(Protocol):
    """Gives the batch of any step: a mixer of examples."""

    def batch(self, step: int, batch_size: int, *, rank: int = 0, ranks: int = 1) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of optimiser step `step`, the part of one of `ranks` processes."""
        ...


class Report(Protocol):
    """What a validation found: figures for the logs, a score to choose the best by, and what the guards say."""

    def as_dict(self) -> dict[str, float]: ...

    def score(self, select_by: str) -> float: ...

    @property
    def summary(self) -> str: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...


ReportT = TypeVar("ReportT", bound=Report)


class Trainer(Generic[ReportT]):
    """One run: `run` trains to the end, to early stopping or to the time limit; its state can be saved and restored.

    `forward` takes the network and a batch of inputs; `judge` validates a network; `on_best` receives the averaged
    network whenever its score beats all before; `on_validated` sees the history after every validation and at the end.
    An `adversary` learns beside the network, before each of its steps, and adds its judgement to the loss.
    Of several processes (`workers`) the first alone validates, logs and saves.
    """

    def __init__(
        self,
        network: nn.Module,
        mixer: BatchSource,
        *,
        loss: Loss,
        loop: LoopSection,
        optimiser: OptimiserSection,
        forward: Callable[[nn.Module, Tensor], Tensor] = enhance_batch,
        judge: Callable[[nn.Module], ReportT],
        run_dir: Path,
        on_best: Callable[[nn.Module, ReportT, int], None],
        workers: Workers = SOLO,
        adversary: Adversary | None = None,
    ) -> None:
        self._device = pick_device(loop.device)
        self.network = network.to(self._device)
        self.history = History()
        self.step = 0
        self._mixer = mixer
        self._loss = loss
        self._loop = loop
        self._optimiser_config = optimiser
        self._forward_network = forward
        self._judge = judge
        self._run_dir = run_dir
        self._on_best = on_best
        self.on_validated: Callable[[History], None] = lambda history: None
        self._workers = workers
        self._best_score = -math.inf
        self._validations_since_best = 0
        freeze(network, loop.freeze)
        self._average = MovingAverage(network, decay=loop.ema_decay)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not trained:
            raise InvalidOptions(f"loop.freeze={list(loop.freeze)} freezes every parameter of the network")
        self._optimiser = torch.optim.AdamW(
            trained,
            lr=optimiser.learning_rate,
            weight_decay=optimiser.weight_decay,
            betas=optimiser.betas,
        )
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=loop.precision == "float16")
        self._norm_limit = NormLimit(optimiser)
        self._adversary = adversary
        if adversary is not None:
            if isinstance(loss, StageLoss) or self._scaler.is_enabled():
                raise InvalidOptions("A run with discriminators takes neither stage_mae nor loop.precision=float16")
            adversary.to(self._device)

    @property
    def averaged_network(self) -> nn.Module:
        """The network that is validated and kept: the moving average of the trained one."""
        return self._average.average

    def run(self) -> History:
        """Train until done; state is saved after every validation and at the end."""
        started, first_step = time.monotonic(), self.step
        limit_s = math.inf if self._loop.max_minutes is None else 60 * self._loop.max_minutes
        self.network.train()
        while self.step < self._loop.steps and not self._is_exhausted:
            loss, gradient_norm = self.train_step()
            elapsed_s = time.monotonic() - started
            if self._workers.is_first and self.step % self._loop.log_every == 0:
                self._log(loss, gradient_norm, elapsed_s=elapsed_s, step_s=elapsed_s / (self.step - first_step))
            is_validated = self.step % self._loop.validate_every == 0 or self.step == self._loop.steps
            if self._workers.is_first and is_validated:
                self.validate()
                self.save_state()
                self.on_validated(self.history)
            if self._workers.agree(self._is_exhausted or time.monotonic() - started > limit_s):
                logger.info("stopped_early", extra={"step": self.step})
                break
        if self._workers.is_first:
            self.save_state()
            if not self.history.validations or self.history.validations[-1]["step"] != self.step:
                self.on_validated(self.history)
        return self.history

    @property
    def _is_exhausted(self) -> bool:
        patience = self._loop.patience
        return patience is not None and self._validations_since_best >= patience

    def train_step(self) -> tuple[float, float]:
        """Do one optimiser step on the next batch; return its loss and the gradient norm before clipping."""
        parts = self._draw_batch()
        factor = learning_rate_factor(self.step, total_steps=self._loop.steps, config=self._optimiser_config)
        for group in self._optimiser.param_groups:
            group["lr"] = self._optimiser_config.learning_rate * factor
        estimates = self._teach(self._adversary, parts) if self._adversary is not None else [None] * len(parts)
        self._optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self._device)
        for (noisy, clean), estimate in zip(parts, estimates, strict=True):
            loss = self._forward(noisy, clean, estimate) / len(parts)
            torch.autograd.backward(self._scaler.scale(loss))
            total += loss.detach()
        mean_loss = self._workers.average_gradients(self.network.parameters(), total)
        if not math.isfinite(mean_loss):
            raise FloatingPointError(f"The loss is {mean_loss} at step {self.step}; lower the learning rate")
        self._scaler.unscale_(self._optimiser)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self._norm_limit.value)
        self._norm_limit.observe(float(norm))
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self.step += 1
        self._average.update(self.network, steps_done=self.step)
        return mean_loss, float(norm)

    def _draw_batch(self) -> list[tuple[Tensor, Tensor]]:
        """Return this process's share of the step's batch, in the parts that pass through the network one by one."""
        count = self._loop.accumulate
        return [
            self._mixer.batch(
                self.step,
                self._loop.batch_size,
                rank=self._workers.rank * count + part,
                ranks=self._workers.count * count,
            )
            for part in range(count)
        ]

    def _teach(self, adversary: Adversary, parts: Sequence[tuple[Tensor, Tensor]]) -> Sequence[Tensor | None]:
        """Let the discriminators learn from what the network gives now; return what may be used again of it.

        Of a batch in one part the estimate is kept with its graph; of several, only one graph may be held at a time.
        """
        with torch.set_grad_enabled(len(parts) == 1):
            estimates = [self._estimate(noisy) for noisy, _ in parts]
        pairs = [
            (estimate.detach(), clean.to(self._device)) for estimate, (_, clean) in zip(estimates, parts, strict=True)
        ]
        with self._autocast():
            adversary.learn(pairs, step=self.step, total_steps=self._loop.steps, workers=self._workers)
        return estimates if len(parts) == 1 else [None] * len(parts)

    def _forward(self, noisy: Tensor, clean: Tensor, estimate: Tensor | None) -> Tensor:
        if isinstance(self._loss, StageLoss):
            with self._autocast():
                return self._loss.of_network(self.network, noisy.to(self._device), clean.to(self._device))
        clean = clean.to(self._device)
        estimate = self._estimate(noisy) if estimate is None else estimate
        loss = self._loss(estimate, clean)
        if self._adversary is None:
            return loss
        with self._autocast():
            return loss + self._adversary.judge(estimate, clean)

    def _estimate(self, noisy: Tensor) -> Tensor:
        with self._autocast():
            return self._forward_network(self.network, noisy).float()

    def _autocast(self) -> torch.autocast:
        dtype = AUTOCAST.get(self._loop.precision)
        return torch.autocast(self._device.type, dtype=dtype, enabled=dtype is not None)

    def validate(self) -> ReportT:
        """Judge the averaged network; keep it when it is the best so far."""
        report = self._judge(self.averaged_network)
        score = report.score(self._loop.select_by)
        is_best = score > self._best_score
        self.history.validations.append({"step": float(self.step), **report.as_dict(), "is_best": float(is_best)})
        logger.info("validated step %d: %s%s", self.step, report.summary, " (best)" if is_best else "")
        for warning in report.warnings:
            logger.warning("guard: %s", warning, extra={"step": self.step})
        self._validations_since_best = 0 if is_best else self._validations_since_best + 1
        if is_best:
            self._best_score = score
            self._on_best(self.averaged_network, report, self.step)
        return report

    def _log(self, loss: float, gradient_norm: float, *, elapsed_s: float, step_s: float) -> None:
        rate = self._optimiser.param_groups[0]["lr"]
        row = {"step": float(self.step), "loss": loss, "gradient_norm": gradient_norm, "learning_rate": rate}
        if self._adversary is not None:
            row["discriminator_loss"] = self._adversary.last_loss
        self.history.steps.append(row | {"elapsed_s": elapsed_s})
        left_minutes = (self._loop.steps - self.step) * step_s / 60
        logger.info(
            "step %d/%d loss %.4f gradient %.2f rate %.2e, %.2f s a step, %.0f min left",
            self.step, self._loop.steps, loss, gradient_norm, rate, step_s, left_minutes,
        )  # fmt: skip

    def save_state(self) -> None:
        """Write everything that the next step depends on, by rename."""
        buffer = io.BytesIO()
        torch.save(self._state(), buffer)
        self._run_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(self._run_dir / STATE_FILE, buffer.getvalue())

    def load_state(self) -> bool:
        """Restore what `save_state` wrote; False when there is nothing to restore."""
        path = self._run_dir / STATE_FILE
        if not path.is_file():
            return False
        state = torch.load(path, weights_only=True, map_location=self._device)
        self.network.load_state_dict(state["network"])
        self.averaged_network.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        if state.get("scaler"):  # empty unless the precision was float16
            self._scaler.load_state_dict(state["scaler"])
        self._norm_limit.load(state.get("gradient_norms", []))  # absent from states of older versions
        if self._adversary is not None:
            if "adversary" not in state:
                raise InvalidOptions(
                    "The run to resume had no discriminators; start anew (--fresh) in a folder of its own"
                )
            self._adversary.load_state(state["adversary"])
        torch.set_rng_state(state["torch_rng"].cpu())
        self.step = state["step"]
        self._best_score = state["best_score"]
        self._validations_since_best = state["validations_since_best"]
        self.history = History(steps=state["step_rows"], validations=state["validation_rows"])
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self.averaged_network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            **({} if self._adversary is None else {"adversary": self._adversary.state()}),
            "gradient_norms": self._norm_limit.norms,
            "torch_rng": torch.get_rng_state(),
            "step": self.step,
            "best_score": self._best_score,
            "validations_since_best": self._validations_since_best,
            "step_rows": self.history.steps,
            "validation_rows": self.history.validations,
        }


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Take the parameters whose names match a shell pattern out of training."""
    for name, parameter in network.named_parameters():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)

"""A training run from recipe to kept checkpoint: data, loop, test on unseen clips, curves and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from core.models.checkpoints import CheckpointCard, load_checkpoint
from core.models.released import read_state_dict
from training.architectures import build_network, enhance_batch
from training.corpus import load_split_pools
from training.datasets import AudioPool, Kind, Split
from training.distributed import Workers, start_workers
from training.initialisation import initialise, load_initial_state
from training.kept_run import keep_best, new_run_id, train_and_keep
from training.loop import Trainer
from training.losses.combined import build_loss
from training.mixing import Example, Mixer
from training.plots import save_spectrograms
from training.recipe import Recipe
from training.validation import ValidationReport, validate

HELD_OUT_SEEDS: Mapping[Split, int] = {"validation": 1_000_003, "test": 2_000_003}
PICTURED_EXAMPLES = 2


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """Where the best checkpoint lies, and what it reached on test mixtures of clips that the run has not seen."""

    checkpoint: Path
    test: ValidationReport
    steps: int


def train_recipe(recipe: Recipe, *, run_dir: Path, resume: bool = True, initial: Path | None = None) -> RunResult:
    """Train `recipe` in `run_dir` and return the result; goes on where the folder's last run stopped if `resume`.

    `initial` is a checkpoint to start from (fine-tuning): of our own format, or a released state dict (.th). The folder
    receives the resolved recipe, the state, the best checkpoint with its card, history.csv, validations.csv, test.json,
    curves.png and spectrogram_NN.png.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    # Decodes what is not in the cache yet, before there are several processes that read it.
    pools = load_split_pools(recipe.data, sample_rate=recipe.system.sample_rate, cache=run_dir / "clips")
    with start_workers(recipe.loop.processes, _train, recipe, run_dir, resume, initial) as workers:
        trained = _train(recipe, run_dir, resume, initial, workers=workers)
    sample_rate = recipe.system.sample_rate
    loss = build_loss(recipe.losses, sample_rate=sample_rate, opinion_waves=recipe.opinion_waves)
    network = build_network(recipe.system.architecture, recipe.system.arguments)
    network.load_state_dict(load_checkpoint(trained.checkpoint)[1])
    test_examples = held_out_examples(pools["test"], recipe, split="test")
    test = validate(network, test_examples, loss, sample_rate=sample_rate)
    (run_dir / "test.json").write_text(json.dumps(test.as_dict(), indent=2) + "\n")
    _write_pictures(run_dir, network, test_examples, sample_rate=sample_rate)
    return RunResult(checkpoint=trained.checkpoint, test=test, steps=trained.steps)


@dataclass(frozen=True, kw_only=True)
class _Trained:
    checkpoint: Path
    steps: int


def _train(recipe: Recipe, run_dir: Path, resume: bool, initial: Path | None, *, workers: Workers) -> _Trained:
    """Train as one of the run's processes, each of which has the same weights at every step."""
    torch.manual_seed(recipe.loop.seed)
    pools = load_split_pools(recipe.data, sample_rate=recipe.system.sample_rate, cache=run_dir / "clips")
    sample_rate = recipe.system.sample_rate
    loss = build_loss(recipe.losses, sample_rate=sample_rate, opinion_waves=recipe.opinion_waves)
    network = build_network(recipe.system.architecture, recipe.system.arguments)
    initialise(network, start=recipe.system.start)
    if initial is not None:
        load_initial_state(
            network,
            _read_weights(initial),
            new_parts=recipe.loop.new_parts,
            widen=recipe.loop.widen,
            name=initial.name,
        )
    checkpoint = run_dir / f"{recipe.system.name}.safetensors"
    trainer = Trainer(
        network,
        Mixer(pools["train"], recipe.mix, sample_rate=sample_rate, seed=recipe.loop.seed),
        loss=loss,
        loop=recipe.loop,
        optimiser=recipe.optimiser,
        judge=partial(
            validate,
            examples=held_out_examples(pools["validation"], recipe, split="validation"),
            loss=loss,
            sample_rate=sample_rate,
        ),
        run_dir=run_dir,
        on_best=keep_best(checkpoint, card=_card(recipe)),
        workers=workers,
    )
    train_and_keep(trainer, recipe, recipe.loop, run_dir=run_dir, checkpoint=checkpoint, resume=resume, workers=workers)
    return _Trained(checkpoint=checkpoint, steps=trainer.step)


def held_out_examples(pools: Mapping[Kind, AudioPool], recipe: Recipe, *, split: Split) -> list[Example]:
    """Return the fixed mixtures of a held-out split: like training's, but longer and with a seed of their own."""
    sample_rate = recipe.system.sample_rate
    mix = recipe.mix.model_copy(update={"segment_samples": int(recipe.validation.segment_s * sample_rate)})
    mixer = Mixer(pools, mix, sample_rate=sample_rate, seed=HELD_OUT_SEEDS[split])
    return [mixer.example(index) for index in range(recipe.validation.examples)]


def _read_weights(path: Path) -> dict[str, Tensor]:
    is_released = path.suffix == ".th"
    return read_state_dict(path, model=path.stem, sha256_prefix="")[0] if is_released else load_checkpoint(path)[1]


def _card(recipe: Recipe) -> CheckpointCard:
    system = recipe.system
    return CheckpointCard(
        name=system.name,
        architecture=system.architecture,
        arguments=system.arguments,
        sample_rate=system.sample_rate,
        licence=system.licence,
        run_id=new_run_id(),
        reference_level_db=system.reference_level_db,
    )


@torch.no_grad()
def _write_pictures(run_dir: Path, network: nn.Module, examples: Sequence[Example], *, sample_rate: int) -> None:
    network.eval()
    for number, example in enumerate(examples[:PICTURED_EXAMPLES], start=1):
        enhanced = enhance_batch(network, torch.from_numpy(example.noisy).unsqueeze(0))[0].cpu().numpy()
        signals = {"noisy": example.noisy, "enhanced": enhanced, "clean": example.clean}
        save_spectrograms(run_dir / f"spectrogram_{number:02d}.png", signals, sample_rate=sample_rate)

"""A training run of a generator from recipe to kept checkpoint: data, loop, test on unseen clips, curves, pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import soxr
import torch
from torch import Tensor, nn

from core.models.checkpoints import CheckpointCard, load_checkpoint
from training.adversary import Adversary
from training.architectures import pick_device
from training.corpus import Pools, load_split_pools
from training.datasets import Split
from training.distributed import Workers, start_workers
from training.generation.features import open_heard
from training.generation.losses import build_generation_loss
from training.generation.mixing import GenerationMixer
from training.generation.networks import build_generator, card_arguments, fit_to_start, load_start, make_forward
from training.generation.recipe import INPUT_RATE, LENGTH_MULTIPLE, GenerationRecipe
from training.generation.validation import GenerationReport, validate_generation
from training.kept_run import keep_best, new_run_id, train_and_keep
from training.loop import Trainer
from training.mixing import Example
from training.plots import save_spectrograms
from training.run import HELD_OUT_SEEDS, PICTURED_EXAMPLES

PICTURED_MEASURES = ("overall", "estoi")


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """Where the best checkpoint lies, and what it reached on test examples of clips that the run has not seen."""

    checkpoint: Path
    test: GenerationReport
    steps: int


@dataclass(frozen=True, kw_only=True)
class _Pools:
    """Clips of one split: what is to be said at the output rate, what disturbs it at 16 kHz."""

    programme: Pools
    sounds: Pools


def train_generation(
    recipe: GenerationRecipe, *, run_dir: Path, resume: bool = True, initial: Path | None = None
) -> GenerationResult:
    """Train `recipe` in `run_dir` and return the result; goes on where the folder's last run stopped if `resume`.

    `initial` are weights to start from, those of the stage before (see `load_start`). The folder receives what that of
    `train_recipe` does; the state holds the discriminators too.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    recipe = recipe.model_copy(update={"system": fit_to_start(recipe.system, initial)})
    # Decodes what is not in the cache yet, before there are several processes that read it.
    pools = _load_pools(recipe, run_dir)
    with start_workers(recipe.loop.processes, _train, recipe, run_dir, resume, initial) as workers:
        checkpoint, steps = _train(recipe, run_dir, resume, initial, workers=workers)
    device = pick_device(recipe.loop.device)
    heard = open_heard(recipe.features, device=device)
    network = build_generator(recipe.system, features=heard).to(device)
    network.load_state_dict(load_checkpoint(checkpoint)[1])
    examples = held_out_examples(pools["test"], recipe, split="test")
    forward = make_forward(heard)
    test = _judge(recipe, examples, forward=forward, device=device)(network)
    (run_dir / "test.json").write_text(json.dumps(test.as_dict(), indent=2) + "\n")
    _write_pictures(run_dir, network, examples, forward=forward, factor=recipe.factor)
    return GenerationResult(checkpoint=checkpoint, test=test, steps=steps)


def _train(
    recipe: GenerationRecipe, run_dir: Path, resume: bool, initial: Path | None, *, workers: Workers
) -> tuple[Path, int]:
    """Train as one of the run's processes; return the checkpoint and the number of steps done."""
    torch.manual_seed(recipe.loop.seed)
    pools = _load_pools(recipe, run_dir)
    device = pick_device(recipe.loop.device)
    heard = open_heard(recipe.features, device=device)
    network = build_generator(recipe.system, features=heard)
    if initial is not None:
        load_start(network, initial)
    adversary = None if recipe.adversary is None else Adversary(recipe.adversary)
    forward = make_forward(heard)
    checkpoint = run_dir / f"{recipe.system.name}.safetensors"
    trainer = Trainer(
        network,
        _mixer(pools["train"], recipe, segment_samples=recipe.mix.segment_samples, seed=recipe.loop.seed),
        loss=build_generation_loss(recipe, device=device),
        loop=recipe.loop,
        optimiser=recipe.optimiser,
        forward=forward,
        judge=_judge(
            recipe,
            held_out_examples(pools["validation"], recipe, split="validation"),
            forward=forward,
            device=device,
        ),
        run_dir=run_dir,
        on_best=keep_best(checkpoint, card=_card(recipe, network)),
        workers=workers,
        adversary=adversary,
    )
    train_and_keep(
        trainer,
        recipe,
        recipe.loop,
        run_dir=run_dir,
        checkpoint=checkpoint,
        resume=resume,
        workers=workers,
        measures=PICTURED_MEASURES,
    )
    return checkpoint, trainer.step


def held_out_examples(pools: _Pools, recipe: GenerationRecipe, *, split: Split) -> list[Example]:
    """Return the fixed examples of a held-out split: like training's, but longer and with a seed of their own."""
    multiple = recipe.factor * LENGTH_MULTIPLE
    segment = round(recipe.validation.segment_s * recipe.system.sample_rate / multiple) * multiple
    mixer = _mixer(pools, recipe, segment_samples=max(segment, multiple), seed=HELD_OUT_SEEDS[split])
    return [mixer.example(index) for index in range(recipe.validation.examples)]


def _judge(
    recipe: GenerationRecipe,
    examples: Sequence[Example],
    *,
    forward: Callable[[nn.Module, Tensor], Tensor],
    device: torch.device,
) -> partial[GenerationReport]:
    return partial(
        validate_generation,
        examples=examples,
        loss=build_generation_loss(recipe, device=device),
        forward=forward,
        sample_rate=recipe.system.sample_rate,
    )


def _mixer(pools: _Pools, recipe: GenerationRecipe, *, segment_samples: int, seed: int) -> GenerationMixer:
    mix = recipe.mix.model_copy(update={"segment_samples": segment_samples})
    rate = recipe.system.sample_rate
    return GenerationMixer(pools.programme, pools.sounds, mix, recipe.degradation, sample_rate=rate, seed=seed)


def _load_pools(recipe: GenerationRecipe, run_dir: Path) -> dict[Split, _Pools]:
    cache = run_dir / "clips"
    sounds = load_split_pools(recipe.data, sample_rate=INPUT_RATE, cache=cache)
    rate = recipe.system.sample_rate
    programme = sounds if rate == INPUT_RATE else load_split_pools(recipe.data, sample_rate=rate, cache=cache)
    return {split: _Pools(programme=programme[split], sounds=found) for split, found in sounds.items()}


def _card(recipe: GenerationRecipe, network: nn.Module) -> CheckpointCard:
    system = recipe.system
    return CheckpointCard(
        name=system.name,
        architecture=system.architecture,
        arguments=card_arguments(network, system),
        sample_rate=system.sample_rate,
        licence=system.licence,
        run_id=new_run_id(),
        reference_level_db=system.reference_level_db,
    )


@torch.no_grad()
def _write_pictures(
    run_dir: Path,
    network: nn.Module,
    examples: Sequence[Example],
    *,
    forward: Callable[[nn.Module, Tensor], Tensor],
    factor: int,
) -> None:
    network.eval()
    spoken = [example for example in examples if example.clean.any()]
    for number, example in enumerate(spoken[:PICTURED_EXAMPLES], start=1):
        generated = forward(network, torch.from_numpy(example.noisy).unsqueeze(0))[0].cpu().numpy()
        noisy = example.noisy if factor == 1 else soxr.resample(example.noisy, 1, factor)
        signals = {"noisy": noisy, "generated": generated, "clean": example.clean}
        save_spectrograms(run_dir / f"spectrogram_{number:02d}.png", signals, sample_rate=factor * INPUT_RATE)

"""A training run of a separator, from tracks to kept checkpoint: data, loop, test on unseen tracks, curves."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from core.enhancement.htdemucs_checkpoint import ARCHITECTURE, build_htdemucs, checkpoint_arguments
from core.errors import InvalidOptions
from core.models.checkpoints import CheckpointCard, card_path, load_checkpoint
from core.models.released import read_demucs_pickle, read_demucs_safetensors
from training.datasets import Split, split_of
from training.distributed import Workers, start_workers
from training.initialisation import load_initial_state
from training.kept_run import keep_best, new_run_id, train_and_keep
from training.loop import Trainer
from training.losses.combined import Loss, build_loss
from training.separation.mixing import StemExample, StemMixer
from training.separation.recipe import SeparationRecipe, StemMixSection
from training.separation.tracks import StemPool, Track, find_tracks, load_tracks
from training.separation.validation import SeparationReport, separate_batch, validate_separation

logger = logging.getLogger(__name__)

HELD_OUT_SEEDS: Mapping[Split, int] = {"validation": 1_000_003, "test": 2_000_003}
PICTURED_MEASURES = ("sdr_db", "sir_db")


@dataclass(frozen=True, kw_only=True)
class SeparationResult:
    """Where the best checkpoint lies, and what it reached on the held-out tracks."""

    checkpoint: Path
    test: SeparationReport
    steps: int


def train_separation(
    recipe: SeparationRecipe, *, run_dir: Path, resume: bool = True, initial: Path | None = None
) -> SeparationResult:
    """Train `recipe` in `run_dir` and return the result; goes on where the folder's last run stopped if `resume`.

    `initial` is a checkpoint to start from: of our own format, or one that demucs has released (.th, .safetensors). The
    folder receives the resolved recipe, the state, the best checkpoint with its card, history.csv, validations.csv,
    test.json and curves.png.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    # Decodes what is not in the cache yet, before there are several processes that read it.
    pools = _load_split_pools(recipe, run_dir)
    with start_workers(recipe.loop.processes, _train, recipe, run_dir, resume, initial) as workers:
        checkpoint, steps = _train(recipe, run_dir, resume, initial, workers=workers)
    network = _build_network(recipe)
    network.load_state_dict(load_checkpoint(checkpoint)[1])
    test = _judge(recipe, pools["test"], split="test")(network)
    (run_dir / "test.json").write_text(json.dumps(test.as_dict(), indent=2) + "\n")
    return SeparationResult(checkpoint=checkpoint, test=test, steps=steps)


def _train(
    recipe: SeparationRecipe, run_dir: Path, resume: bool, initial: Path | None, *, workers: Workers
) -> tuple[Path, int]:
    """Train as one of the run's processes; return the checkpoint and the number of steps done."""
    torch.manual_seed(recipe.loop.seed)
    pools = _load_split_pools(recipe, run_dir)
    network = _build_network(recipe)
    if initial is not None:
        load_initial_state(network, _read_weights(initial), new_parts=recipe.loop.new_parts, name=initial.name)
    checkpoint = run_dir / f"{recipe.system.name}.safetensors"
    trainer = Trainer(
        network,
        _mixer(pools["train"], recipe, recipe.mix, seed=recipe.loop.seed),
        loss=_stem_loss(recipe),
        loop=recipe.loop,
        optimiser=recipe.optimiser,
        forward=separate_batch,
        judge=_judge(recipe, pools["validation"], split="validation"),
        run_dir=run_dir,
        on_best=keep_best(checkpoint, card=_card(recipe)),
        workers=workers,
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


def held_out_examples(pool: StemPool, recipe: SeparationRecipe, *, split: Split) -> list[StemExample]:
    """Return the fixed mixes of a held-out split: tracks as they are, in places that a seed of their own draws."""
    mix = StemMixSection(segment_s=recipe.validation.segment_s)
    mixer = _mixer(pool, recipe, mix, seed=HELD_OUT_SEEDS[split])
    return [mixer.example(index) for index in range(recipe.validation.examples)]


def _judge(recipe: SeparationRecipe, pool: StemPool, *, split: Split) -> partial[SeparationReport]:
    return partial(
        validate_separation,
        examples=held_out_examples(pool, recipe, split=split),
        loss=_stem_loss(recipe),
        sources=tuple(recipe.stems.sources),
    )


def _mixer(pool: StemPool, recipe: SeparationRecipe, mix: StemMixSection, *, seed: int) -> StemMixer:
    sources = len(recipe.stems.sources)
    return StemMixer(pool, mix, sources=sources, sample_rate=recipe.system.sample_rate, seed=seed)


def _stem_loss(recipe: SeparationRecipe) -> Loss:
    """Return the recipe's loss for (B, S, C, T): every channel of every stem is a signal of its own."""
    loss = build_loss(recipe.losses, sample_rate=recipe.system.sample_rate)

    def of_stems(estimate: Tensor, stems: Tensor) -> Tensor:
        return loss(estimate.flatten(0, -2), stems.flatten(0, -2))

    return of_stems


def _load_split_pools(recipe: SeparationRecipe, run_dir: Path) -> dict[Split, StemPool]:
    stems = recipe.stems
    if stems.root is None or not stems.root.is_dir():
        raise InvalidOptions("The recipe needs tracks: give stems.root=FOLDER with a folder of stems for each")
    sides: dict[Split, list[Track]] = {"train": [], "validation": [], "test": []}
    tracks = find_tracks(stems.root, stems.sources, ignored=stems.ignored)
    for track in tracks:
        side = split_of(track.name, validation_fraction=stems.validation_fraction, test_fraction=stems.test_fraction)
        sides[side].append(track)
    cache = stems.cache or run_dir / "tracks"
    return {
        side: load_tracks(_or_all(found, tracks, side), sample_rate=recipe.system.sample_rate, cache=cache)
        for side, found in sides.items()
    }


def _or_all(found: Sequence[Track], tracks: Sequence[Track], side: Split) -> Sequence[Track]:
    if found:
        return found
    logger.warning("%d tracks are too few to hold out: %s hears them all", len(tracks), side)
    return tracks


def _build_network(recipe: SeparationRecipe) -> nn.Module:
    try:
        return build_htdemucs(**_arguments(recipe))
    except (TypeError, ValueError, AssertionError) as error:
        raise InvalidOptions(f"system.arguments do not fit an HTDemucs: {error}") from error


def _arguments(recipe: SeparationRecipe) -> dict[str, object]:
    return checkpoint_arguments(
        recipe.system.arguments,
        sources=list(recipe.stems.sources),
        sample_rate=recipe.system.sample_rate,
        segment_s=recipe.mix.segment_s,
    )


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".th":
        return read_demucs_pickle(path, model=path.stem, sha256_prefix=path.stem.partition("-")[2])[0].state_dict()
    if card_path(path).is_file():
        return load_checkpoint(path)[1]
    return read_demucs_safetensors(path, model=path.stem)[0].state_dict()


def _card(recipe: SeparationRecipe) -> CheckpointCard:
    return CheckpointCard(
        name=recipe.system.name,
        architecture=ARCHITECTURE,
        arguments=_arguments(recipe),
        sample_rate=recipe.system.sample_rate,
        licence=recipe.system.licence,
        run_id=new_run_id(),
    )

"""Fixed pairs of noisy and clean files: written once, the same bytes for the same seed, corpus and plan."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import soundfile as sf
from pydantic import Field, ValidationError

from core.errors import InvalidOptions
from training.corpus import Pools, load_split_pools
from training.datasets import AudioPool, FloatArray, Kind, Split
from training.recipe import RECIPES, DataSection, MixSection, Section, list_recipes, load_recipe

if TYPE_CHECKING:
    from training.mixing import Example

logger = logging.getLogger(__name__)

PLANS = Path(__file__).parent / "pair_plans"
SEED_OF_SPLIT: Mapping[Split, int] = {"train": 0, "validation": 1_000_003, "test": 2_000_003}
DEFAULT_PAIRS: dict[Split, int] = {"train": 160, "validation": 40}


class PairPlan(Section):
    """What pairs are made, how many for each split; with `each_snr_db`, every piece once at each of these."""

    description: str
    sample_rate: Annotated[int, Field(ge=8000)] = 16_000  # Hz
    data: DataSection = DataSection()
    mix: MixSection
    each_snr_db: tuple[float, ...] = ()
    pairs: dict[Split, Annotated[int, Field(ge=0)]]


def list_plans() -> list[str]:
    """Return the names of the plans that come with Limpid."""
    return sorted(path.stem for path in PLANS.glob("*.yaml"))


def load_plan(name: str, overrides: Sequence[str] = ()) -> PairPlan:
    """Return the plan of this name, or file, or what a recipe of this name mixes; overrides as for recipes."""
    if (PLANS / f"{name}.yaml").is_file():
        return load_recipe(str(PLANS / f"{name}.yaml"), overrides, schema=PairPlan)
    if not (RECIPES / f"{name}.yaml").is_file() and not name.endswith((".yaml", ".yml")):
        raise InvalidOptions(
            f"There is no plan or recipe {name!r}; known are {', '.join([*list_plans(), *list_recipes()])}"
        )
    # Counts are of plans alone: a recipe does not know them.
    counts = [override for override in overrides if override.startswith("pairs.")]
    recipe = load_recipe(name, [override for override in overrides if override not in counts])
    parts = (count.removeprefix("pairs.").partition("=") for count in counts)
    asked = {split: value for split, _, value in parts}
    try:
        return PairPlan.model_validate(
            {
                "description": recipe.description,
                "sample_rate": recipe.system.sample_rate,
                "data": recipe.data,
                "mix": recipe.mix,
                "pairs": DEFAULT_PAIRS | asked,
            }
        )
    except ValidationError as error:
        raise InvalidOptions(f"pairs.SPLIT=COUNT takes train, validation or test, got {', '.join(counts)}") from error


@dataclass
class SourceLog:
    """The clips that went into the example that is being made, in the order of their reading."""

    files: list[str] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)

    def take(self) -> tuple[Kind, list[str]]:
        """Return the kind of the first clip and the names of all, and forget them."""
        kind, files = self.kinds[0], list(dict.fromkeys(self.files))
        self.files.clear()
        self.kinds.clear()
        return kind, files


class LoggedPool(AudioPool):
    """A pool that writes into a log what is read from it."""

    def __init__(self, pool: AudioPool, *, kind: Kind, log: SourceLog) -> None:
        self._pool = pool
        self._kind = kind
        self._log = log
        self.durations = pool.durations
        self.files = pool.files

    def __len__(self) -> int:
        return len(self._pool)

    def read(self, index: int, *, start: int = 0, length: int | None = None) -> FloatArray:
        """Read as the pool does."""
        self._log.kinds.append(self._kind)
        self._log.files.append(self.files[index])
        return self._pool.read(index, start=start, length=length)


def write_pairs(plan: PairPlan, out: Path, *, seed: int, cache: Path) -> dict[Split, int]:
    """Write the pairs of `plan` below `out` and return how many there are of each split.

    `out`/<split> receives noisy/ and clean/ (WAV, 16 bit) and a manifest.json that evaluation reads, with SNR, kind and
    source clips of each; `out`/manifest.json has all. InvalidOptions when `out` already holds pairs.
    """
    if (out / "manifest.json").exists():
        raise InvalidOptions(f"{out.name!r} already holds pairs; give another folder, or remove it first")
    pools = load_split_pools(plan.data, sample_rate=plan.sample_rate, cache=cache)
    everything: list[dict[str, Any]] = []
    counts: dict[Split, int] = {}
    for split, count in plan.pairs.items():
        records = _write_split(plan, out / split, pools[split], count=count, seed=seed + SEED_OF_SPLIT[split])
        _write_manifest(out / split, plan, records, seed=seed)
        everything += [
            record | {"split": split, "noisy": f"{split}/{record['noisy']}", "clean": f"{split}/{record['clean']}"}
            for record in records
        ]
        counts[split] = len(records)
    _write_manifest(out, plan, everything, seed=seed)
    return counts


def _write_split(plan: PairPlan, folder: Path, pools: Pools, *, count: int, seed: int) -> list[dict[str, Any]]:
    from training.mixing import Mixer  # not at the top: it loads PyTorch, for which the list of plans need not wait

    log = SourceLog()
    logged = {kind: LoggedPool(pool, kind=kind, log=log) for kind, pool in pools.items()}
    # The same draws at every SNR: a mixer is stateless, and a range of no width takes its draw all the same.
    mixes = [plan.mix.model_copy(update={"snr_db": (snr, snr), "snr_choices_db": ()}) for snr in plan.each_snr_db]
    mixers = [Mixer(logged, mix, sample_rate=plan.sample_rate, seed=seed) for mix in mixes or [plan.mix]]
    records = []
    for index in range(count):
        for mixer in mixers:
            example = mixer.example(index)
            kind, files = log.take()
            name = f"{folder.name}-{index:05d}" + (f"-snr{example.snr_db:g}" if plan.each_snr_db else "")
            _write_pair(folder, name, example, sample_rate=plan.sample_rate)
            records.append(
                {
                    "id": name,
                    "noisy": f"noisy/{name}.wav",
                    "clean": f"clean/{name}.wav",
                    "kind": kind,
                    "snr": round(example.snr_db, 3),
                    "sources": files,
                }
            )
    logger.info("pairs_written", extra={"split": folder.name, "pairs": len(records)})
    return records


def _write_pair(folder: Path, name: str, example: Example, *, sample_rate: int) -> None:
    # 16 bit would cut off what exceeds full scale; both are made softer, as one.
    scale = np.float32(1 / max(1.0, float(np.abs(example.noisy).max()), float(np.abs(example.clean).max())))
    for side, wav in (("noisy", example.noisy), ("clean", example.clean)):
        path = folder / side / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, wav * scale, sample_rate, subtype="PCM_16")


def _write_manifest(folder: Path, plan: PairPlan, records: Sequence[Mapping[str, Any]], *, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"description": plan.description, "seed": seed, "sample_rate": plan.sample_rate, "pairs": records}
    (folder / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

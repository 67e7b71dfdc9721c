"""Fixed pairs: the same bytes for the same seed, at the SNR that the manifest states, split by source clip."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from typer.testing import CliRunner

from cli.main import app
from core.errors import InvalidOptions
from training.pairs import read_pairs
from training.synthesis import list_plans, load_plan, write_pairs

SHORT = ["mix.segment_samples=2000", "data.validation_fraction=0.3", "data.test_fraction=0.3"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for kind, count in [("speech", 12), ("noise", 12), ("music", 9), ("effects", 9)]:
        (root / kind).mkdir()
        for number in range(count):
            sf.write(root / kind / f"{number}.wav", 0.1 * rng.standard_normal(4000), 16000)
    return root


def write(corpus: Path, out: Path, plan: str, *overrides: str, seed: int = 0) -> list[dict[str, Any]]:
    """Write the pairs of a plan, short ones, and return the manifest's records of all."""
    resolved = load_plan(plan, [f"data.root={corpus}", *SHORT, *overrides])
    write_pairs(resolved, out, seed=seed, cache=out.parent / "cache")
    records: list[dict[str, Any]] = json.loads((out / "manifest.json").read_bytes())["pairs"]
    return records


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_plans_hold_what_the_briefs_ask_for() -> None:
    finetune, steps, film = load_plan("finetune"), load_plan("snr-steps"), load_plan("film")

    assert list_plans() == ["film", "finetune", "snr-steps"]
    assert finetune.pairs == {"train": 160, "validation": 40}
    assert (finetune.mix.segment_samples, finetune.mix.snr_db) == (64000, (-5, 20))
    assert steps.each_snr_db == (-5, 0, 5, 10)
    assert [count / sum(steps.pairs.values()) for count in steps.pairs.values()] == [0.8, 0.1, 0.1]
    assert film.mix.domains == {"speech": 0.6, "effects": 0.2, "music": 0.2}
    assert (film.sample_rate, film.mix.snr_db) == (44100, (10, 25))


def test_same_seed_gives_the_same_bytes_and_another_gives_others(corpus: Path, tmp_path: Path) -> None:
    counts = ["pairs.train=3", "pairs.validation=2"]
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        write(corpus, tmp_path / name, "finetune", *counts, seed=seed)

    first, again, other = (digests(tmp_path / name) for name in ("first", "again", "other"))
    assert len(first) == 5 * 2 + 3
    assert first == again
    assert all(first[name] != other[name] for name in first if name.endswith(".wav"))


def test_pairs_have_the_snr_that_the_manifest_states(corpus: Path, tmp_path: Path) -> None:
    for record in write(corpus, tmp_path / "pairs", "finetune", "pairs.train=6", "pairs.validation=2"):
        noisy, _ = sf.read(tmp_path / "pairs" / record["noisy"])
        clean, _ = sf.read(tmp_path / "pairs" / record["clean"])

        assert 10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2)) == pytest.approx(record["snr"], abs=0.1)
        assert -5 <= record["snr"] <= 20
        assert record["sources"][0].startswith("speech/")
        assert any(source.startswith("noise/") for source in record["sources"])


def test_every_piece_comes_once_at_every_snr(corpus: Path, tmp_path: Path) -> None:
    records = write(corpus, tmp_path / "pairs", "snr-steps", "pairs.train=2", "pairs.validation=1", "pairs.test=1")

    assert [record["snr"] for record in records] == [-5, 0, 5, 10] * 4
    for start in range(0, 16, 4):
        steps = records[start : start + 4]
        assert len({tuple(record["sources"]) for record in steps}) == 1
        pieces = [sf.read(tmp_path / "pairs" / record["clean"])[0] for record in steps]
        for piece in pieces[1:]:
            assert np.corrcoef(pieces[0], piece)[0, 1] == pytest.approx(1, abs=1e-3)


def test_splits_share_no_speech(corpus: Path, tmp_path: Path) -> None:
    records = write(corpus, tmp_path / "pairs", "snr-steps", "pairs.train=8", "pairs.validation=8", "pairs.test=8")

    speech = {
        split: {name for record in records if record["split"] == split for name in record["sources"][:1]}
        for split in ("train", "validation", "test")
    }
    assert all(speech.values())
    assert not speech["train"] & speech["validation"]
    assert not (speech["train"] | speech["validation"]) & speech["test"]


def test_domains_come_in_the_shares_of_the_plan(corpus: Path, tmp_path: Path) -> None:
    overrides = ["mix.noises={recorded: 1.0}", "mix.segment_samples=256", "pairs.train=100", "pairs.validation=0"]

    records = write(corpus, tmp_path / "pairs", "film", *overrides, "pairs.test=0")

    kinds = Counter(record["kind"] for record in records)
    assert kinds["speech"] / 100 == pytest.approx(0.6, abs=0.12)
    assert kinds["effects"] / 100 == pytest.approx(0.2, abs=0.1)
    assert kinds["music"] / 100 == pytest.approx(0.2, abs=0.1)
    assert all(10 <= record["snr"] <= 25 for record in records)


def test_evaluation_reads_a_split_and_the_whole(corpus: Path, tmp_path: Path) -> None:
    write(corpus, tmp_path / "pairs", "finetune", "pairs.train=2", "pairs.validation=1")

    assert len(read_pairs(tmp_path / "pairs")) == 3
    (pair,) = read_pairs(tmp_path / "pairs" / "validation")
    assert pair.clean is not None
    assert pair.noisy.is_file()
    assert pair.clean.is_file()
    assert pair.kind == "speech"
    assert pair.snr_db is not None


def test_mixtures_of_a_recipe_can_be_written(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    settings = ["mix.segment_samples=2000", "mix.noises={recorded: 1.0}", "mix.reverb=0", "pairs.train=1"]

    result = CliRunner().invoke(
        app, ["synth", "cnn-mask", *settings, "pairs.validation=1", "--data", str(corpus), "--out", str(out)]
    )

    assert result.exit_code == 0, result.stderr
    assert "1 train, 1 validation" in result.stdout
    assert len(read_pairs(out)) == 2


@pytest.mark.parametrize(
    ("plan", "overrides", "message"),
    [
        ("no-such-plan", [], "no plan or recipe 'no-such-plan'"),
        ("cnn-mask", ["pairs.trian=3"], r"pairs\.SPLIT=COUNT"),
        ("finetune", ["pairs.train=-1"], r"pairs\.train"),
    ],
)
def test_plan_that_does_not_fit_is_refused(plan: str, overrides: list[str], message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        load_plan(plan, overrides)


def test_folder_that_holds_pairs_is_not_overwritten(corpus: Path, tmp_path: Path) -> None:
    write(corpus, tmp_path / "pairs", "finetune", "pairs.train=1", "pairs.validation=0")

    with pytest.raises(InvalidOptions, match="already holds pairs"):
        write(corpus, tmp_path / "pairs", "finetune", "pairs.train=1", "pairs.validation=0")

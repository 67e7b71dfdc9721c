"""From names to engines: which file is taken, and what is said when there is none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs
from torch import nn

from core import model_catalogue, model_record
from core.enhancement.drift_guard import DriftGuard
from core.enhancement.htdemucs import HTDemucsSeparator
from core.enhancement.loader import combined_digest, load_enhancer
from core.enhancement.protocol import SignalStatistics
from core.errors import InvalidOptions, ModelUnavailable, NotFound
from core.model_catalogue import MODELS, Architecture, Bag, ModelRecord, WeightsFile
from core.models import demucs_causal, precision
from core.models.band_split_generator import BandSplitGenerator
from core.models.band_split_lstm import BandSplitLstm
from core.models.checkpoints import CheckpointCard, save_checkpoint
from core.models.demucs_causal import DemucsCausal, DemucsCausalConfig
from core.models.finally_speech.features import MelFeatures
from core.models.finally_speech.generator import FinallyGenerator
from core.models.mask_cnn import MaskCnn
from core.presets import Precision

SMALL = DemucsCausalConfig(hidden=4, depth=3)
SOURCES = ["drums", "bass", "other", "vocals"]
PRECISIONS: tuple[Precision, ...] = ("standard", "fast")


def add_to_catalogue(monkeypatch: pytest.MonkeyPatch, record: ModelRecord) -> None:
    monkeypatch.setattr(model_catalogue, "MODELS", {**model_catalogue.MODELS, record.name: record})


@pytest.fixture
def released_dns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemucsCausal:
    """Stand for dns48 in the catalogue: a small network of the same format, installed under its hash."""
    torch.manual_seed(0)
    network = DemucsCausal.from_config(SMALL).eval()
    torch.save(network.state_dict(), tmp_path / "new.th")
    digest = hashlib.sha256((tmp_path / "new.th").read_bytes()).hexdigest()
    name = f"dns48-{digest[:16]}.th"
    (tmp_path / "new.th").rename(tmp_path / name)
    file = WeightsFile(name=name, url=f"https://example.org/{name}", sha256_prefix=digest[:16])
    add_to_catalogue(monkeypatch, replace(MODELS["dns48"], files=(file,)))
    monkeypatch.setattr(demucs_causal, "VARIANTS", {"dns48": SMALL})
    return network


def test_released_denoiser_is_loaded_and_verified(released_dns: DemucsCausal, tmp_path: Path) -> None:
    wav = np.random.default_rng(0).standard_normal((1, 2000)).astype(np.float32)
    with torch.inference_mode():
        expected = released_dns(torch.from_numpy(wav), std=0.5)[0].numpy()

    engine = load_enhancer("dns48", models_dir=tmp_path)
    estimate = engine.enhance(wav, 16_000, statistics=SignalStatistics(samples=2000, mean=0.0, std=0.5, peak=1.0))

    (file,) = tmp_path.glob("dns48-*.th")
    assert engine.info.name == "dns48"
    assert engine.info.licence == "CC-BY-NC-4.0"
    assert engine.info.weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert np.abs(estimate[0] - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.usefixtures("released_dns")
def test_changed_file_is_refused(tmp_path: Path) -> None:
    (file,) = tmp_path.glob("dns48-*.th")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(ModelUnavailable, match="do not verify"):
        load_enhancer("dns48", models_dir=tmp_path)


def test_tensors_of_another_network_are_refused(
    released_dns: DemucsCausal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demucs_causal, "VARIANTS", {"dns48": replace(SMALL, hidden=5)})

    with pytest.raises(ModelUnavailable, match="do not fit the network"):
        load_enhancer("dns48", models_dir=tmp_path)


@pytest.mark.usefixtures("released_dns")
def test_own_weights_come_before_the_released_ones(tmp_path: Path) -> None:
    own = DemucsCausal(hidden=6, depth=2)
    card = save_checkpoint(
        tmp_path / "dns48.safetensors",
        own.state_dict(),
        card=CheckpointCard(
            name="dns48",
            architecture="demucs-causal",
            arguments=asdict(own.config),
            sample_rate=16_000,
            licence="Apache-2.0",
            run_id="run",
        ),
    )

    engine = load_enhancer("dns48", models_dir=tmp_path)

    assert engine.info.licence == "Apache-2.0"
    assert engine.info.weights_sha256 == card.weights_sha256


@pytest.mark.parametrize("name", ["dns48", "dns64", "master64", "htdemucs", "htdemucs_ft", "mdx"])
def test_missing_weights_are_answered_with_the_command_that_gets_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=f"'{name}' is not installed.*`limpid models pull {name}`"):
        load_enhancer(name, models_dir=tmp_path)


def test_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no model 'htdemucs_xl'.*htdemucs_ft"):
        load_enhancer("htdemucs_xl", models_dir=tmp_path)


@pytest.mark.parametrize(
    ("architecture", "build", "arguments"),
    [
        ("mask-cnn", MaskCnn, {"channels": (4, 4, 4, 4)}),
        ("band-split-lstm", BandSplitLstm, {"width": 4, "hidden": 4, "blocks": 1}),
    ],
)
def test_bundled_model_is_loaded_from_the_package(
    architecture: str,
    build: Callable[..., nn.Module],
    arguments: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_record, "BUNDLED_DIR", tmp_path)
    add_to_catalogue(monkeypatch, replace(MODELS["cnn-mask"], name="own", architecture=Architecture(architecture)))
    card = CheckpointCard(
        name="own",
        architecture=architecture,
        arguments=arguments,
        sample_rate=16_000,
        licence="Apache-2.0",
        run_id="run",
    )
    card = save_checkpoint(tmp_path / "own.safetensors", build(**arguments).state_dict(), card=card)

    engine = load_enhancer("own", models_dir=tmp_path / "elsewhere")

    assert engine.info.name == "own"
    assert engine.info.weights_sha256 == card.weights_sha256


def test_missing_bundled_weights_are_a_broken_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_record, "BUNDLED_DIR", tmp_path)

    with pytest.raises(ModelUnavailable, match="come with Limpid, are missing"):
        load_enhancer("cnn-mask", models_dir=tmp_path)


@pytest.mark.usefixtures("released_dns")
def test_denoiser_has_no_stems_to_choose_from(tmp_path: Path) -> None:
    assert load_enhancer("dns48", models_dir=tmp_path, stems=["enhanced"]).info.stems == ("enhanced",)
    with pytest.raises(InvalidOptions, match="dns48 has one output, enhanced"):
        load_enhancer("dns48", models_dir=tmp_path, stems=["vocals"])


@pytest.fixture
def released_htdemucs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand for htdemucs in the catalogue: two small members, installed under their hashes, which are returned."""
    folder = tmp_path / "demucs"
    folder.mkdir()
    files = []
    digests = []
    for seed, signature in enumerate(("aaaa0000", "bbbb1111")):
        torch.manual_seed(seed)
        network = HTDemucs(SOURCES, channels=8, t_layers=1, t_heads=2, bottom_channels=0, nfft=2048, segment=0.5)
        args, kwargs = network._init_args_kwargs
        package = {"klass": HTDemucs, "args": args, "kwargs": kwargs, "state": network.state_dict()}
        torch.save(package, folder / "new.th")
        digests.append(hashlib.sha256((folder / "new.th").read_bytes()).hexdigest())
        name = f"{signature}-{digests[-1][:8]}.th"
        (folder / "new.th").rename(folder / name)
        files.append(WeightsFile(name=name, url=f"https://example.org/{name}", sha256_prefix=digests[-1][:8]))
    bag = Bag(members=("aaaa0000", "bbbb1111"), weights=((1.0, 1.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    add_to_catalogue(monkeypatch, replace(MODELS["htdemucs"], files=tuple(files), bag=bag))
    return digests


def test_bag_of_separators_is_loaded_with_its_settings(released_htdemucs: list[str], tmp_path: Path) -> None:
    engine = load_enhancer("htdemucs", models_dir=tmp_path, overlap=0.5, stems=["vocals"])

    assert isinstance(engine, HTDemucsSeparator)
    assert engine.info.stems == ("vocals",)
    assert engine.info.segment.grid_samples == 44_100 // 4
    assert engine.info.weights_sha256 == combined_digest(released_htdemucs)
    wav = np.random.default_rng(0).standard_normal((2, 4000)).astype(np.float32)
    statistics = SignalStatistics(samples=4000, mean=0.0, std=1.0, peak=4.0)
    assert engine.enhance(wav, 44_100, statistics=statistics).shape == (1, 2, 4000)


@pytest.mark.usefixtures("released_htdemucs")
def test_invented_quantised_name_runs_htdemucs_with_its_own_settings(tmp_path: Path) -> None:
    engine = load_enhancer("htdemucs_quantized", models_dir=tmp_path)

    assert engine.info.name == "htdemucs"
    assert engine.info.segment.grid_samples == int(0.9 * 44_100 // 2)


@pytest.mark.usefixtures("released_htdemucs")
def test_settings_that_are_given_come_before_those_of_an_alias(tmp_path: Path) -> None:
    engine = load_enhancer("htdemucs_quantized", models_dir=tmp_path, overlap=0.5)

    assert engine.info.segment.grid_samples == 44_100 // 4


@pytest.mark.usefixtures("released_htdemucs")
@pytest.mark.parametrize("has_bfloat16", [True, False])
@pytest.mark.parametrize("model", ["htdemucs", "limpid-speech"])
def test_fast_precision_is_had_where_the_machine_has_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, has_bfloat16: bool
) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: has_bfloat16)

    engines = [load_enhancer(model, models_dir=tmp_path, precision=wanted) for wanted in PRECISIONS]

    assert [engine.info.is_fast for engine in engines] == [False, has_bfloat16]
    rate, channels = engines[0].info.sample_rate, engines[0].info.channels
    wav = (0.1 * np.random.default_rng(0).standard_normal((channels, rate // 8))).astype(np.float32)
    statistics = SignalStatistics(samples=rate // 8, mean=0.0, std=0.1, peak=0.5)
    standard, fast = (engine.enhance(wav, rate, statistics=statistics) for engine in engines)
    error = np.square(fast - standard).mean() / np.square(wav).mean()
    assert (0 < error < 10**-3.5) if has_bfloat16 else error == 0


def test_fast_precision_is_not_had_by_a_model_that_it_does_not_serve(
    released_dns: DemucsCausal, tmp_path: Path
) -> None:
    assert not load_enhancer("dns48", models_dir=tmp_path, precision="fast").info.is_fast


@pytest.mark.usefixtures("released_htdemucs")
def test_member_renamed_to_the_hash_of_another_file_is_refused(tmp_path: Path) -> None:
    first, second = sorted((tmp_path / "demucs").glob("*.th"))
    first.write_bytes(second.read_bytes())

    with pytest.raises(ModelUnavailable, match="do not verify"):
        load_enhancer("htdemucs", models_dir=tmp_path)


def test_digest_of_several_files_depends_on_each_of_them() -> None:
    assert combined_digest(["a" * 64]) == "a" * 64
    assert len({combined_digest(["a", "b"]), combined_digest(["b", "a"]), combined_digest(["a", "c"])}) == 3


def test_card_arguments_of_the_network_can_be_stored_as_json() -> None:
    assert DemucsCausal(**json.loads(json.dumps(asdict(SMALL)))).config == SMALL


def save_own(network: nn.Module, path: Path, *, architecture: str, arguments: dict[str, Any], rate: int) -> None:
    card = CheckpointCard(
        name=path.stem, architecture=architecture, arguments=arguments, sample_rate=rate, licence="none", run_id="test"
    )
    save_checkpoint(path, network.state_dict(), card=card)


def test_generator_comes_inside_its_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"denoiser": {"width": 8, "hidden": 4, "blocks": 1}, "width": 8, "hidden": 4, "blocks": 1}
    save_own(
        BandSplitGenerator(**arguments),  # type: ignore[arg-type]
        tmp_path / "small-studio.safetensors",
        architecture="band-split-generator",
        arguments=arguments,
        rate=16_000,
    )
    record = replace(
        MODELS["finally-48k"], name="small-studio", architecture=Architecture.BAND_SPLIT_GENERATOR, needs=()
    )
    add_to_catalogue(monkeypatch, record)

    engine, fast = (load_enhancer("small-studio", models_dir=tmp_path, precision=wanted) for wanted in PRECISIONS)

    assert isinstance(engine, DriftGuard)
    assert engine.info.name == "small-studio"
    # Neither the generator nor what guards it has a fast form: it is the same engine, which does not claim to be fast.
    assert isinstance(fast, DriftGuard)
    assert not fast.info.is_fast
    wav = (0.1 * np.random.default_rng(0).standard_normal((1, 16_000))).astype(np.float32)
    statistics = SignalStatistics(samples=16_000, mean=0.0, std=0.1, peak=0.5)
    estimates = [each.enhance(wav, 16_000, statistics=statistics) for each in (engine, fast)]
    assert np.array_equal(estimates[0], estimates[1])


def test_generator_at_48_khz_is_guarded_at_its_own_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {
        "spectral_widths": [2, 4], "spectral_depth": 1, "post_depth": 1, "channels": 16, "wave_widths": [4, 4],
        "wave_depth": 1, "mask_widths": [2, 4], "mask_depth": 1, "upsample_widths": [4] * 5, "upsample_bottom": 4,
    }  # fmt: skip
    arguments = {"output_rate": 48_000, "feature_width": 80, "sizes": sizes}
    save_own(
        FinallyGenerator.from_arguments(**arguments),  # type: ignore[arg-type]
        tmp_path / "finally-48k.safetensors",
        architecture="finally",
        arguments=arguments,
        rate=48_000,
    )
    for name in MODELS["finally-48k"].needs:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr("core.enhancement.finally_speech.load_features", lambda folder: MelFeatures())

    engine = load_enhancer("finally-48k", models_dir=tmp_path)

    assert isinstance(engine, DriftGuard)
    assert engine.info.sample_rate == 48_000


@pytest.mark.parametrize("is_there", [(), ("finally-48k.safetensors", "finally-48k.json")])
def test_weights_that_nobody_publishes_are_asked_for_with_how_to_train_them(
    tmp_path: Path, is_there: tuple[str, ...]
) -> None:
    for name in is_there:  # WavLM is missing still
        (tmp_path / name).touch()

    with pytest.raises(ModelUnavailable, match=r"limpid train finally-stage1.*finally-48k\.safetensors.*wavlm-large"):
        load_enhancer("finally-48k", models_dir=tmp_path)

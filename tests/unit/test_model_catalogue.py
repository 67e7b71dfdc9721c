"""The catalogue: names, aliases, licences, published hashes, and what counts as installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import NotFound
from core.model_catalogue import (
    ALIASES,
    MODELS,
    Origin,
    find_alias,
    find_model,
    is_installed,
    list_models,
)
from core.presets import PRESETS


def test_every_preset_names_a_model_of_the_catalogue() -> None:
    for preset in PRESETS.values():
        if preset.model is not None:
            assert find_model(preset.model).name == preset.model


def test_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match=r"no model 'dns49'.*cnn-mask, .*dns48, .*htdemucs_quantized"):
        find_model("dns49")


def test_invented_quantised_name_leads_to_htdemucs_and_says_so() -> None:
    alias = find_alias("htdemucs_quantized")

    assert find_model("htdemucs_quantized") is MODELS["htdemucs"]
    assert alias is not None
    assert (alias.shifts, alias.overlap) == (0, 0.1)
    assert "no quantised htdemucs" in alias.note
    assert find_alias("htdemucs") is None
    assert not set(ALIASES) & set(MODELS)


@pytest.mark.parametrize("name", ["dns48", "dns64", "master64"])
def test_denoiser_weights_are_marked_non_commercial(name: str) -> None:
    record = find_model(name)

    assert record.is_non_commercial
    assert record.licence == "CC-BY-NC-4.0"
    assert "no commercial use" in record.notice


def test_pulled_files_are_named_after_their_hash_and_come_over_tls() -> None:
    files = [file for record in MODELS.values() for file in record.files if file.sha256_prefix]

    assert len({file.name for file in files}) == 30
    for file in files:
        assert file.name.endswith(f"-{file.sha256_prefix}.th")
        assert file.url.startswith("https://dl.fbaipublicfiles.com/")
        assert file.url.endswith(f"/{file.name}")
        assert len(file.sha256_prefix) >= 8


def test_only_the_two_stage_network_has_a_file_without_a_published_hash() -> None:
    without = {record.name: file for record in MODELS.values() for file in record.files if not file.sha256_prefix}

    assert list(without) == ["two-stage-unet"]
    assert without["two-stage-unet"].url.startswith("https://github.com/eloimoliner/")


def test_bag_has_a_row_for_each_member_and_a_column_for_each_stem() -> None:
    for record in MODELS.values():
        if record.bag is not None and record.bag.weights is not None:
            assert len(record.bag.weights) == len(record.bag.members)
            assert {len(row) for row in record.bag.weights} == {len(record.stems)}


def test_demucs_bags_equal_those_of_the_package() -> None:
    yaml = pytest.importorskip("yaml")
    remote = pytest.importorskip("demucs.pretrained").REMOTE_ROOT

    for record in MODELS.values():
        if record.bag is None:
            continue
        published = yaml.safe_load((remote / f"{record.name}.yaml").read_text())
        weights = published.get("weights")
        assert list(record.bag.members) == published["models"]
        assert record.bag.segment_s == published.get("segment")
        assert record.bag.weights == (weights and tuple(tuple(row) for row in weights))


def test_pulled_model_is_installed_once_its_file_is_there(tmp_path: Path) -> None:
    assert not is_installed("dns48", tmp_path)

    (tmp_path / "dns48-11decc9d8e3f0998.th").touch()

    assert is_installed("dns48", tmp_path)
    assert not is_installed("dns64", tmp_path)


def test_own_weights_are_installed_only_with_their_card(tmp_path: Path) -> None:
    (tmp_path / "dns64.safetensors").touch()
    assert not is_installed("dns64", tmp_path)

    (tmp_path / "dns64.json").touch()

    assert is_installed("dns64", tmp_path)


def test_bag_is_installed_only_with_all_of_its_members_in_either_form(tmp_path: Path) -> None:
    folder = tmp_path / "demucs"
    folder.mkdir()
    for file in find_model("htdemucs_ft").files[:-1]:
        (folder / file.name).touch()
    assert not is_installed("htdemucs_ft", tmp_path)

    (folder / "04573f0d.safetensors").touch()

    assert is_installed("htdemucs_ft", tmp_path)


def test_list_says_of_every_model_whether_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "dns48-11decc9d8e3f0998.th").touch()

    installed = {listed.record.name: listed.is_installed for listed in list_models(tmp_path)}

    assert list(installed) == list(MODELS)
    assert [name for name, record in MODELS.items() if record.origin is Origin.PULLED and installed[name]] == ["dns48"]


def test_catalogue_needs_neither_torch_nor_demucs() -> None:
    code = "import sys, core.model_catalogue; sys.exit(bool({'torch', 'demucs', 'numpy'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

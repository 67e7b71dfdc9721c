"""The customer's own variables (DEMUCS_MODEL and so on): what they change, what comes before them, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.configuration import load_settings
from cli.errors import CommandError
from core.operator_defaults import NO_DEFAULTS, OperatorDefaults
from core.options import EnhanceOptions, OutputSpec, resolve_options
from core.presets import PRESETS


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env


def resolved(preset: str, overrides: dict[str, object] | None = None) -> EnhanceOptions:
    return resolve_options(preset, overrides, operator=load_settings().operator_defaults)


def test_nothing_set_leaves_every_preset_as_it_is() -> None:
    assert load_settings().operator_defaults == NO_DEFAULTS
    assert all(NO_DEFAULTS.apply(preset) == preset for preset in PRESETS.values())


def test_variables_set_the_defaults_of_the_separating_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DEMUCS_MODEL": "htdemucs_ft",
        "DEMUCS_SHIFTS": "3",
        "DEMUCS_OVERLAP": "0.5",
        "USE_FLOAT32": "true",
    }.items():
        monkeypatch.setenv(name, value)

    options = resolved("fast")

    assert (options.model, options.shifts, options.overlap) == ("htdemucs_ft", 3, 0.5)
    assert options.outputs == (OutputSpec(subtype="FLOAT"),)
    assert resolved("speech") == resolve_options("speech")


def test_request_comes_before_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_SHIFTS", "3")
    monkeypatch.setenv("DEMUCS_OVERLAP", "0.5")

    options = resolved("high", {"shifts": 1})

    assert (options.shifts, options.overlap) == (1, 0.5)


def test_preset_that_is_for_its_stems_keeps_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_MODEL", "htdemucs_ft")
    monkeypatch.setenv("DEMUCS_SHIFTS", "2")

    options = resolved("stems-6")

    assert (options.model, options.shifts) == ("htdemucs_6s", 2)


def test_alias_brings_its_settings_unless_they_are_set() -> None:
    alone = OperatorDefaults(model="htdemucs_quantized").apply(PRESETS["maximum"])
    with_shifts = OperatorDefaults(model="htdemucs_quantized", shifts=2).apply(PRESETS["maximum"])

    assert (alone.model, alone.shifts, alone.overlap) == ("htdemucs_quantized", 0, 0.1)
    assert (with_shifts.shifts, with_shifts.overlap) == (2, 0.1)


def test_float_output_that_is_switched_off_means_16_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_FLOAT32", "false")

    assert resolved("maximum").outputs == (OutputSpec(subtype="PCM_16"),)


@pytest.mark.parametrize("name", ["DEMUCS_MODEL", "DEMUCS_SHIFTS", "DEMUCS_OVERLAP", "USE_FLOAT32"])
def test_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")

    assert load_settings().operator_defaults == NO_DEFAULTS


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("DEMUCS_MODEL", "dns48", "must be one of htdemucs, htdemucs_ft, htdemucs_6s"),
        ("DEMUCS_MODEL", "htdemucs_xl", "must be one of htdemucs, htdemucs_ft, htdemucs_6s"),
        ("DEMUCS_SHIFTS", "5", "less than or equal to 4"),
        ("DEMUCS_SHIFTS", "two", "integer"),
        ("DEMUCS_OVERLAP", "0.05", "greater than or equal to 0.1"),
        ("DEMUCS_OVERLAP", "0.9", "less than or equal to 0.75"),
        ("USE_FLOAT32", "perhaps", "boolean"),
    ],
)
def test_value_that_cannot_be_used_is_refused_at_the_start_with_its_limit(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, limit: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(CommandError, match=rf"cannot be used\. {name}: .*{limit}"):
        load_settings()

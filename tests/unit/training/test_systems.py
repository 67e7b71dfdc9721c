"""What is measured: presets with all that they do, names that are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import NotFound
from core.operator_defaults import NO_DEFAULTS
from core.options import resolve_options
from tests.unit.training.test_evaluation import HalvingEnhancer
from training.systems import open_systems, process_with_preset


def tone(frequency_hz: float, samples: int = 16000) -> np.ndarray:
    return (0.2 * np.sin(2 * np.pi * frequency_hz * np.arange(samples) / 16000)).astype(np.float32)


def level_db(wav: np.ndarray, frequency_hz: float) -> float:
    """Level of a frequency in the middle of `wav`."""
    inner = wav[4000:-4000]
    phase = 2 * np.pi * frequency_hz * np.arange(len(inner)) / 16000
    return float(20 * np.log10(2 * np.abs(np.mean(inner * np.exp(-1j * phase))) + 1e-12))


def test_preset_is_measured_with_its_whole_chain(tmp_path: Path) -> None:
    (system,) = open_systems(["clean-only"], models_dir=tmp_path, operator=NO_DEFAULTS)
    hummed = tone(30) + tone(1000)

    output = system.process(hummed)

    assert output.shape == hummed.shape
    assert level_db(hummed, 30) - level_db(hummed, 1000) == pytest.approx(0, abs=0.5)
    assert level_db(output, 30) - level_db(output, 1000) < -20  # its high pass


def test_engine_of_a_preset_works_within_the_chain() -> None:
    options = resolve_options(
        "speech", {"pictures": False, "chain": []}, [{"format": "wav", "subtype": "FLOAT"}], operator=NO_DEFAULTS
    )

    output = process_with_preset(options, HalvingEnhancer())(tone(440))

    np.testing.assert_allclose(output, tone(440) / 2, atol=1e-4)


def test_same_name_again_gets_a_number(tmp_path: Path) -> None:
    systems = open_systems(["clean-only", "clean-only", "clean-only"], models_dir=tmp_path, operator=NO_DEFAULTS)

    assert [system.name for system in systems] == ["clean-only", "clean-only-2", "clean-only-3"]


def test_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_systems(["no-such-system"], models_dir=tmp_path, operator=NO_DEFAULTS)

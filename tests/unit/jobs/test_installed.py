"""Which models are installed: the workers' word, asked for rarely."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import NotFound
from core.fleet.installed import KEPT_S, InstalledModels, installed_here
from core.model_catalogue import MODELS
from core.settings import Settings
from tests.monitoring_fakes import FakeFleet


def test_what_the_workers_say_is_kept_for_a_moment(tmp_path: Path) -> None:
    fleet, clock = FakeFleet(), [0.0]
    installed = InstalledModels(fleet, settings=Settings(data_dir=tmp_path), clock=lambda: clock[0])
    fleet.worker_models = frozenset({"htdemucs"})
    assert installed.has("htdemucs")
    fleet.worker_models = frozenset()

    clock[0] = KEPT_S - 0.1
    assert installed.has("htdemucs")
    clock[0] = KEPT_S
    assert not installed.has("htdemucs")


def test_alias_is_installed_when_its_model_is(tmp_path: Path) -> None:
    fleet = FakeFleet()
    fleet.worker_models = frozenset({"htdemucs"})
    installed = InstalledModels(fleet, settings=Settings(data_dir=tmp_path))

    assert installed.has("htdemucs_quantized")
    with pytest.raises(NotFound):
        installed.has("no such model")


def test_this_machine_has_what_is_bundled_and_what_was_pulled(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    before = installed_here(settings)
    settings.resolved_models_dir.mkdir(parents=True)
    (settings.resolved_models_dir / MODELS["dns48"].files[0].name).write_bytes(b"weights")

    assert "limpid-speech" in before
    assert set(installed_here(settings)) - set(before) == {"dns48"}

"""Presets, resolved: what a job gets that names one and overrides nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from api.deps import BackendDep, JobReaderDep, SettingsDep
from api.schemas import PresetListView, PresetView
from core.options import resolve_options
from core.presets import DEFAULT_PRESET, PRESETS

router = APIRouter(prefix="/presets", tags=["catalogue"])


@router.get("", summary="List presets")
def list_presets(backend: BackendDep, settings: SettingsDep, reader: JobReaderDep) -> PresetListView:
    """Every preset with its model, DSP chain and outputs, how fast it is here, and whether this server has what it
    needs."""
    now = datetime.now(UTC)
    shown = [(preset, resolve_options(preset.name, operator=settings.operator_defaults)) for preset in PRESETS.values()]
    return PresetListView(
        presets=[
            PresetView.of(
                preset,
                options,
                speed=reader.forecaster.speed(options, now=now),
                is_installed=options.model is None or backend.installed.has(options.model),
                is_default=preset.name == DEFAULT_PRESET,
            )
            for preset, options in shown
        ]
    )

"""Models: what each is, its licence, and whether it is installed."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter

from api.deps import BackendDep, SettingsDep
from api.schemas import ModelListView, ModelView
from core.model_catalogue import list_models

router = APIRouter(prefix="/models", tags=["catalogue"])


@router.get("", summary="List models")
def get_models(backend: BackendDep, settings: SettingsDep) -> ModelListView:
    """Every model that Limpid knows. Those that are not bundled are installed by the operator, never by a job."""
    return ModelListView(
        models=[
            ModelView.of(replace(listed, is_installed=backend.installed.has(listed.record.name)))
            for listed in list_models(settings.resolved_models_dir)
        ]
    )

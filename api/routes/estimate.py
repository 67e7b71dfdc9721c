"""How long a job would take, before it is submitted."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from api.auth import SubmitterDep
from api.deps import BackendDep, SettingsDep
from api.estimate_views import EstimateRequest, EstimateView
from api.openapi import problems
from core.errors import Conflict, InputTooLarge, NotFound, StorageError, UnknownPreset, UnsupportedMedia
from core.estimation.service import duration_of_upload, estimate_job
from core.options import resolve_options

router = APIRouter(prefix="/estimate", tags=["catalogue"])


@router.post(
    "",
    summary="Estimate how long a job would take",
    responses=problems(
        {
            404: NotFound,
            409: Conflict,
            413: InputTooLarge,
            415: UnsupportedMedia,
            422: UnknownPreset,
            503: StorageError,
        }
    ),
)
def estimate(wanted: EstimateRequest, caller: SubmitterDep, backend: BackendDep, settings: SettingsDep) -> EstimateView:
    """Processing time of a recording of `duration_s`, or of a complete upload, without waiting in the queue. The model
    need not be installed. An upload stays as it is."""
    options = resolve_options(wanted.preset, wanted.overrides, operator=settings.operator_defaults)
    audio_s = wanted.duration_s
    if wanted.upload_id is not None:
        audio_s = duration_of_upload(wanted.upload_id, desk=backend.uploads, caller=caller)
    return EstimateView.of(
        estimate_job(options, audio_s=audio_s or 0.0, history=backend.history, settings=settings, now=datetime.now(UTC))
    )

"""Use case: estimate a job before it is submitted."""

from __future__ import annotations

from datetime import datetime

from core.access.keys import Caller
from core.audio.isolation import probe_isolated
from core.errors import Conflict, InputTooLarge, InvalidAudio
from core.estimation.benchmark import read_benchmark
from core.estimation.estimate import RECENT_RUNS, Estimate, estimate_run
from core.estimation.history import RunHistory
from core.jobs import Device
from core.options import EnhanceOptions
from core.settings import Settings
from core.uploads.services import UploadDesk, find_upload
from core.uploads.upload import UploadStatus


def estimate_job(
    options: EnhanceOptions, *, audio_s: float, history: RunHistory, settings: Settings, now: datetime
) -> Estimate:
    """The estimate for `audio_s` seconds on this server; InputTooLarge when no recording may be so long."""
    if audio_s > settings.max_duration_s:
        raise InputTooLarge(f"The recording lasts {audio_s:.1f} s; the limit is {settings.max_duration_s:.1f} s.")
    device = Device(settings.device)
    return estimate_run(
        options,
        audio_s=audio_s,
        runs=history.recent(options.preset, device=device, now=now, limit=RECENT_RUNS),
        benchmark=read_benchmark(settings.data_dir) if device is Device.CPU else None,
    )


def duration_of_upload(upload_id: str, *, desk: UploadDesk, caller: Caller) -> float:
    """Seconds of audio in a complete upload, by its header.

    NotFound when it is not the caller's, Conflict when it is not complete, UnsupportedMedia or InvalidAudio when it
    cannot be used or its header does not tell.
    """
    upload = find_upload(upload_id, desk=desk, caller=caller)
    if upload.status is not UploadStatus.COMPLETE:
        raise Conflict(f"The upload is {upload.status}. Complete it first.")
    with desk.store.open_reader(upload.key) as source:
        duration_s = probe_isolated(source, name=upload.name).duration_s
    if not duration_s:
        raise InvalidAudio("The file's header does not tell its length. Give duration_s.")
    return duration_s

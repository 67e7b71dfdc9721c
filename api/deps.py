"""What routes receive, as Annotated aliases."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Path, Query, Request

from api.intake import QueryOptions
from api.polling import JobReader
from core.backend import Backend
from core.errors import NotFound
from core.ids import is_id
from core.monitoring.census import RecentCensus
from core.presets import PRESETS
from core.settings import Settings


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


def _census(request: Request) -> RecentCensus:
    census: RecentCensus = request.app.state.census
    return census


def _job_reader(request: Request) -> JobReader:
    reader: JobReader = request.app.state.job_reader
    return reader


def _job_id(job_id: Annotated[str, Path(description="As `POST /jobs` gave it")]) -> str:
    if not is_id(job_id):
        raise NotFound(f"There is no job {job_id[:100]!r}.")
    return job_id


def _upload_id(upload_id: Annotated[str, Path(description="As `POST /uploads` gave it")]) -> str:
    if not is_id(upload_id):
        raise NotFound(f"There is no upload {upload_id[:100]!r}.")
    return upload_id


def _query_options(
    preset: Annotated[
        str | None, Query(description="A form's field replaces it", json_schema_extra={"enum": list(PRESETS)})
    ] = None,
    options: Annotated[str | None, Query(description="As the form's field of this name: JSON")] = None,
    name: Annotated[str | None, Query(description="The file's name, for a raw body")] = None,
) -> QueryOptions:
    return QueryOptions(preset=preset, options=options, name=name)


def _idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Your own name for this request, 1 to 255 visible ASCII characters, such as a UUID: sent again "
            "under it, the request has its effect once.",
        ),
    ] = None,
) -> str | None:
    return idempotency_key


SettingsDep = Annotated[Settings, Depends(_settings)]
BackendDep = Annotated[Backend, Depends(_backend)]
CensusDep = Annotated[RecentCensus, Depends(_census)]

JobReaderDep = Annotated[JobReader, Depends(_job_reader)]
JobIdDep = Annotated[str, Depends(_job_id)]
IdempotencyKeyDep = Annotated[str | None, Depends(_idempotency_key)]
UploadIdDep = Annotated[str, Depends(_upload_id)]
QueryOptionsDep = Annotated[QueryOptions, Depends(_query_options)]

"""A job's course, as it happens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from api.auth import ReaderDep
from api.deps import JobIdDep, JobReaderDep
from api.events import MEDIA_TYPE, event_id, stream_events
from api.openapi import REFERENCE, problems
from api.schemas import JobView
from core.errors import Gone, NotFound, StorageError

router = APIRouter(prefix="/jobs", tags=["jobs"])

_EVENT_SCHEMA = {
    "type": "object",
    "description": "Each event",
    "required": ["event", "id", "data"],
    "properties": {
        "event": {"type": "string", "enum": ["status", "progress", "end"]},
        "id": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": REFERENCE.format(model=JobView.__name__)},
        },
    },
}
_EXAMPLE = 'event: progress\nid: 1.running.enhance.420000.0\ndata: {"id": "0199…", "status": "running", …}\n\n'


@router.get(
    "/{job_id}/events",
    summary="Follow a job live",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events until the job ends: `status` when its state changes or a worker takes it, "
            "`progress`, and `end` as the last one. The data of each is the job.",
            "content": {MEDIA_TYPE: {"schema": _EVENT_SCHEMA, "example": _EXAMPLE}},
        },
        204: {"description": "The job has ended, and the client knows it: do not connect again"},
        **problems({404: NotFound, 410: Gone, 503: StorageError}),
    },
)
async def get_events(
    request: Request,
    caller: ReaderDep,
    job_id: JobIdDep,
    reader: JobReaderDep,
    last_event_id: Annotated[str, Header(max_length=200, description="As the browser sends it by itself")] = "",
) -> Response:
    """Server-sent events, for `EventSource` and for clients that read a response as it comes."""
    read = reader.following(job_id, caller)
    view = await run_in_threadpool(read)
    if view.status.is_terminal and event_id(view) == last_event_id:
        return Response(status_code=204)
    return StreamingResponse(
        stream_events(request, view, read, last_id=last_event_id),
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )

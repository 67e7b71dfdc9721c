"""A job's news as server-sent events (WHATWG HTML, section 9.2). No thread is held: the row is read again and again.

Every event carries the whole job, so that one that is missed is made up for by the next; its id names the job's state
(attempt, status, stage, progress, place in the queue), so that a client that comes back is told what it has not seen.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from api import polling
from api.schemas import JobView
from core.errors import EnhancerError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 15.0  # proxies close a connection that is silent for longer than 30 to 60 s
RECONNECT_MS = 2000

_HEARTBEAT = b": still here\n\n"


def event_id(view: JobView) -> str:
    """Names what the job's row says of its course. The first two parts are those of a `status` event."""
    fraction = round(view.progress.fraction * 1e6)
    return f"{view.attempt}.{view.status}.{view.stage or ''}.{fraction}.{view.queue_position}"


def encode_event(view: JobView, *, last_id: str) -> bytes:
    """The event that tells of `view` to who has last seen `last_id` (empty: nothing yet)."""
    this_id = event_id(view)
    if view.status.is_terminal:
        name = "end"
    else:
        name = "progress" if this_id.split(".")[:2] == last_id.split(".")[:2] else "status"
    data = view.model_dump_json(by_alias=True)
    return f"event: {name}\nid: {this_id}\ndata: {data}\n\n".encode()


async def stream_events(
    request: Request,
    first: JobView,
    read: Callable[[], JobView],
    *,
    last_id: str,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[bytes]:
    """Events from `first` on, as `read` (which blocks) finds news, up to the job's end.

    Ends early when the client has gone, the server is to stop, or the job cannot be read: the client connects again.
    """
    yield f"retry: {RECONNECT_MS}\n\n".encode()
    view, told_at = first, clock()
    while True:
        if event_id(view) != last_id:
            yield encode_event(view, last_id=last_id)
            last_id, told_at = event_id(view), clock()
        if view.status.is_terminal or request.app.state.is_stopping or await request.is_disconnected():
            return
        if clock() - told_at >= HEARTBEAT_S:
            yield _HEARTBEAT
            told_at = clock()
        await asyncio.sleep(polling.POLL_INTERVAL_S)
        try:
            view = await run_in_threadpool(read)
        except EnhancerError as error:
            logger.warning("events_ended", extra={"job_id": view.id, "reason": error.detail})
            return

"""Every error that a client can meet, as application/problem+json (RFC 9457). Routes raise; this file answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from api.rate_limit import rate_limit_headers
from api.request_id import HEADER as REQUEST_ID_HEADER
from core import errors
from core.errors import EnhancerError, TransientError

logger = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""After this many seconds a client may try again when a service did not answer."""

_STATUS: Mapping[type[EnhancerError], int] = {
    EnhancerError: 500,
    errors.InvalidInput: 400,
    errors.InvalidAudio: 422,
    errors.UnsupportedMedia: 415,
    errors.InputTooLarge: 413,
    errors.InvalidOptions: 422,
    errors.IdempotencyMismatch: 422,
    errors.ForbiddenUrl: 422,
    errors.FetchFailed: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Gone: 410,
    errors.Conflict: 409,
    errors.LimitReached: 429,
    errors.ModelUnavailable: 409,  # not 503: trying again does not help, an operator must install it
    errors.InsufficientDisk: 507,
    TransientError: 503,
}
_CLIENT_CLOSED_REQUEST = 499  # for the access log; nobody receives it


class ProblemItem(BaseModel):
    """One of several faults in a request."""

    location: str = Field(description="Where it is, outermost first", examples=["options.lane"])
    message: str


class ProblemView(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(examples=["urn:limpid:problem:unknown_preset"])
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for")
    code: str = Field(description="Stable; for programs", examples=["unknown_preset"])
    errors: list[ProblemItem] = []


def problem_type(code: str) -> str:
    """The URI that identifies the kind of problem."""
    return f"urn:limpid:problem:{code}"


def status_of_code(code: str) -> int:
    """The HTTP status for the `code` of a failed job; 500 for one that no exception has."""
    return _STATUS_BY_CODE.get(code, 500)


def problem_response(
    request: Request,
    status: int,
    *,
    code: str,
    title: str,
    detail: str,
    items: Sequence[ProblemItem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response to `request`."""
    problem = ProblemView(
        type=problem_type(code),
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        errors=list(items),
    )
    # The handler of unexpected errors runs outside the middleware that sets this header on every other response.
    request_id = getattr(request.state, "request_id", None)
    return Response(
        problem.model_dump_json(),
        status_code=status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers={**({REQUEST_ID_HEADER: request_id} if request_id else {}), **(headers or {})},
    )


def install_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every error with a problem."""
    app.add_exception_handler(EnhancerError, _answer_enhancer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(ClientDisconnect, _answer_disconnect)
    app.add_exception_handler(Exception, _answer_unexpected)


def _status_of(kind: type[EnhancerError]) -> int:
    return next(_STATUS[base] for base in kind.__mro__ if base in _STATUS)


def _codes_below(kind: type[EnhancerError]) -> dict[str, int]:
    found = {kind.code: _status_of(kind)}
    for child in kind.__subclasses__():
        found |= _codes_below(child)
    return found


_STATUS_BY_CODE = _codes_below(EnhancerError)


async def _answer_enhancer_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, EnhancerError):
        raise error
    status = _status_of(type(error))
    if status >= 500:
        logger.error("request_failed", exc_info=error, extra=_log_fields(request))
    cause = error.__cause__
    return problem_response(
        request,
        status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        items=_items(cause.errors()) if isinstance(cause, ValidationError) else (),
        headers=_headers_of(error),
    )


def _headers_of(error: EnhancerError) -> Mapping[str, str]:
    if isinstance(error, errors.LimitReached):
        return {"Retry-After": str(error.retry_after_s), **rate_limit_headers(error.standings)}
    if isinstance(error, TransientError | errors.IdempotencyInFlight):
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {"WWW-Authenticate": "Bearer"} if isinstance(error, errors.Unauthenticated) else {}


async def _answer_invalid_request(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    items = _items(error.errors())
    return problem_response(
        request,
        422,
        code="invalid_request",
        title="A parameter of the request is not valid",
        detail="; ".join(f"{item.location}: {item.message}" for item in items),
        items=items,
    )


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    return problem_response(
        request,
        status,
        code=status.name.lower(),
        title=status.phrase,
        detail=error.detail if error.detail != status.phrase else status.description or status.phrase,
        headers={"Allow": _allowed_methods(request)} if status is HTTPStatus.METHOD_NOT_ALLOWED else error.headers,
    )


async def _answer_disconnect(request: Request, error: Exception) -> Response:
    logger.info("client_disconnected", extra=_log_fields(request))
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    logger.error("request_failed", exc_info=error, extra=_log_fields(request))
    return problem_response(
        request,
        500,
        code=EnhancerError.code,
        title=EnhancerError.title,
        detail="The request failed for a reason that is in the server's log, under the X-Request-Id of this response.",
    )


def _allowed_methods(request: Request) -> str:
    """All methods of the path: the router itself names those of one of its routes only."""
    return ", ".join(
        method
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    )


def _items(found: Sequence[Any]) -> list[ProblemItem]:
    """Pydantic's errors without the values, which may be large, secret or no JSON."""
    return [ProblemItem(location=".".join(map(str, item["loc"])), message=item["msg"]) for item in found]


def _log_fields(request: Request) -> dict[str, str]:
    return {
        "request_id": getattr(request.state, "request_id", ""),
        "method": request.method,
        "path": request.url.path,
    }

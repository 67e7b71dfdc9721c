"""What the routes' signatures cannot say to OpenAPI: streamed request bodies, binary results, problems."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from api.errors import PROBLEM_MEDIA_TYPE, ProblemView, problem_type
from api.job_options import EXAMPLE as OPTIONS_EXAMPLE
from api.job_options import JobOptions, JobSubmission
from core import errors
from core.errors import EnhancerError
from core.presets import DEFAULT_PRESET, PRESETS

Responses = dict[int | str, dict[str, Any]]

TAGS: list[dict[str, Any]] = [
    {"name": "jobs", "description": "Submit a recording, follow it, fetch the result."},
    {"name": "batches", "description": "Many recordings at once: one thing to follow, one archive to fetch."},
    {"name": "uploads", "description": "Large recordings, in parts, straight to the object store."},
    {"name": "webhooks", "description": "Who was told what, and how it went."},
    {"name": "catalogue", "description": "What the server can do."},
    {"name": "simple", "description": "One request, one answer: for short recordings and simple clients."},
    {"name": "health", "description": "For load balancers and people on call."},
]

REFERENCE = "#/components/schemas/{model}"

# Its definitions are among the components anyway: the job's own schema uses them.
_OPTIONS_SCHEMA = JobOptions.model_json_schema(ref_template=REFERENCE)
_OPTIONS_SCHEMA.pop("$defs")
_SUBMISSION_SCHEMA = JobSubmission.model_json_schema(ref_template=REFERENCE)
_DEFINITIONS = _SUBMISSION_SCHEMA.pop("$defs")

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {**_BINARY, "description": "The recording"},
                        "reference": {
                            **_BINARY,
                            "description": "A clean version of it, if there is one, for the report to compare with",
                        },
                        "preset": {"type": "string", "enum": list(PRESETS), "default": DEFAULT_PRESET},
                        "options": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": _OPTIONS_SCHEMA,
                            "description": "A JSON object as text",
                        },
                    },
                },
                "encoding": {
                    "file": {"contentType": "audio/*, video/*, application/octet-stream"},
                    "reference": {"contentType": "audio/*, video/*, application/octet-stream"},
                },
                "example": {"file": "(binary)", "preset": DEFAULT_PRESET, "options": json.dumps(OPTIONS_EXAMPLE)},
            },
            "audio/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
            "application/json": {"schema": _SUBMISSION_SCHEMA},
        },
    }
}

LOCATION_HEADER = {"Location": {"description": "The job", "schema": {"type": "string", "format": "uri-reference"}}}
RETRY_AFTER_HEADER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
REPLAY_HEADER = {
    "Idempotency-Replayed": {
        "description": "`true`: the reply to an earlier request with this Idempotency-Key",
        "schema": {"type": "string"},
    }
}
ETAG_HEADER = {"ETag": {"description": "Give it as If-None-Match", "schema": {"type": "string"}}}

NOT_MODIFIED: Responses = {304: {"description": "Nothing new since the ETag in If-None-Match"}}


def problem(description: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """The description of a response that is a problem; `more` goes beside its schema."""
    schema = {"$ref": REFERENCE.format(model=ProblemView.__name__)}
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: {"schema": schema, **more}}}


def problems(by_status: Mapping[int, type[EnhancerError]]) -> Responses:
    """Response descriptions: which errors a route answers, each with an example."""
    return {status: problem(kind.title, example=_example(status, kind)) for status, kind in by_status.items()}


def add_problem_schemas(document: dict[str, Any]) -> None:
    """Define in an OpenAPI document what `problem` and UPLOAD_BODY refer to."""
    schema = ProblemView.model_json_schema(ref_template=REFERENCE)
    definitions = schema.pop("$defs")
    document["components"]["schemas"].update({**_DEFINITIONS, **definitions, ProblemView.__name__: schema})


def _example(status: int, kind: type[EnhancerError]) -> dict[str, Any]:
    return {
        "type": problem_type(kind.code),
        "title": kind.title,
        "status": status,
        "detail": "What was wrong, the value, the limit, what to do.",
        "instance": "/api/v1/jobs",
        "code": kind.code,
        "errors": [],
    }


UPLOAD_PROBLEMS = problems(
    {
        400: errors.InvalidInput,
        409: errors.ModelUnavailable,
        413: errors.InputTooLarge,
        415: errors.UnsupportedMedia,
        422: errors.UnknownPreset,
        429: errors.LimitReached,
        503: errors.StorageError,
    }
)

ANY_PROBLEM: Responses = {"default": problem("Any other error")}

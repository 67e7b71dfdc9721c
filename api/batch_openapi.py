"""What the batch routes' signatures cannot say to OpenAPI: the streamed request body."""

from __future__ import annotations

import json
from typing import Any

from api.batch_options import BatchOptions, BatchSubmission
from api.openapi import REFERENCE
from core.batches.batch import MAX_ITEMS
from core.presets import DEFAULT_PRESET, PRESETS

_OPTIONS_SCHEMA = BatchOptions.model_json_schema(ref_template=REFERENCE)
_OPTIONS_SCHEMA.pop("$defs")
_SUBMISSION_SCHEMA = BatchSubmission.model_json_schema(ref_template=REFERENCE)
DEFINITIONS: dict[str, Any] = _SUBMISSION_SCHEMA.pop("$defs")

BATCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_ITEMS,
                            "items": {"type": "string", "format": "binary"},
                            "description": "The recordings, as fields of the same name",
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
                "example": {
                    "file": ["(binary)", "(binary)"],
                    "preset": DEFAULT_PRESET,
                    "options": json.dumps({"lane": "bulk"}),
                },
            },
            "application/json": {"schema": _SUBMISSION_SCHEMA},
        },
    }
}

"""The text options of a request (a form's fields, or the query string), checked and made a JobRequest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import from_json

from core.errors import InvalidOptions
from core.jobs import Lane
from core.presets import DEFAULT_PRESET, PRESETS
from core.services import JobRequest

FIELD_NAMES = frozenset({"preset", "options"})
MAX_METADATA_VALUES = 1000
MAX_INTEGER = 2**63 - 1  # every client and both databases keep an integer up to here

EXAMPLE: dict[str, JsonValue] = {
    "overrides": {"strength": 0.9, "residual": True},
    "outputs": [{"format": "wav", "subtype": "PCM_24"}],
    "lane": "interactive",
    "metadata": {"episode": 12},
}


class JobOptions(BaseModel):
    """The `options` of a job, as JSON text."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE})

    preset: str | None = Field(
        default=None, description="As the field `preset`.", json_schema_extra={"enum": [*PRESETS, None]}
    )
    overrides: dict[str, Any] = Field(default={}, description="Settings that replace the preset's.")
    outputs: list[dict[str, Any]] | None = Field(
        default=None, min_length=1, max_length=4, description="Encodings of the result; None: as the preset says."
    )
    lane: Lane = Field(default=Lane.INTERACTIVE, description="`interactive` while a person waits, `bulk` for archives.")
    metadata: dict[str, Any] = Field(default={}, description="Your own; returned with the job, untouched.")
    dedupe: bool = Field(
        default=False,
        description="If an earlier job of yours made the same of the very same bytes, and its files are kept, answer "
        "with that job (status 200) instead of a new one.",
    )


def parse_job_request(fields: Mapping[str, str]) -> JobRequest:
    """The request in `fields` (FIELD_NAMES, each optional); InvalidOptions names what is wrong with it."""
    options = _parse_options(fields.get("options", "").strip() or "{}")
    named = fields.get("preset", "").strip() or None
    if named and options.preset and named != options.preset:
        raise InvalidOptions(f"The preset is given twice: {named!r} beside {options.preset!r} in the options.")
    return JobRequest(
        preset=named or options.preset or DEFAULT_PRESET,
        overrides=options.overrides,
        outputs=options.outputs,
        lane=options.lane,
        metadata=options.metadata,
        dedupe=options.dedupe,
    )


def _parse_options(text: str) -> JobOptions:
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidOptions(f"The options are not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidOptions("The options must be a JSON object.")
    _check_storable(value)
    try:
        return JobOptions.model_validate(value)
    except ValidationError as error:
        raise InvalidOptions(f"{error.error_count()} of the options are not valid.") from error


def _check_storable(value: dict[str, JsonValue]) -> None:
    """Refuse what a database cannot keep: NUL in a text, an integer of more than 64 bits, thousands of values."""
    pending: list[JsonValue] = [value]
    for count, item in enumerate(pending):
        if count > MAX_METADATA_VALUES:
            raise InvalidOptions(f"The options hold more than {MAX_METADATA_VALUES} values.")
        if isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str) and "\0" in item:
            raise InvalidOptions("The options hold a NUL character (\\u0000).")
        elif isinstance(item, int) and abs(item) > MAX_INTEGER:
            raise InvalidOptions("The options hold an integer of more than 64 bits.")

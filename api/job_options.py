"""The text options of a request (a form's fields, or the query string), checked and made a JobRequest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator
from pydantic_core import from_json

from core.errors import InvalidOptions
from core.ids import ID_PATTERN
from core.jobs import Lane
from core.outbound.destination import MAX_URL_CHARS
from core.presets import DEFAULT_PRESET, PRESETS
from core.services import JobRequest
from core.webhooks.events import JOB_EVENTS, EventType, JobEvent, Webhook
from core.webhooks.signing import key_of

FIELD_NAMES = frozenset({"preset", "options"})
MAX_METADATA_VALUES = 1000
MAX_INTEGER = 2**63 - 1  # every client and both databases keep an integer up to here

EXAMPLE: dict[str, JsonValue] = {
    "overrides": {"strength": 0.9, "residual": True},
    "outputs": [{"format": "wav", "subtype": "PCM_24"}],
    "lane": "interactive",
    "metadata": {"episode": 12},
    "webhook": {"url": "https://example.com/hooks/limpid", "events": ["job.succeeded", "job.failed"]},
}

Options = TypeVar("Options", bound="RecordingOptions")


class WebhookTarget(BaseModel):
    """Where events go, and how they are signed."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=MAX_URL_CHARS, description="http or https; a public address; not redirected.")
    secret: str | None = Field(
        default=None, description="`whsec_…`, to sign these events with instead of the server's. Never shown."
    )

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: str | None) -> str | None:
        if secret is not None:
            key_of(secret)
        return secret

    def to_be_told(self, events: Iterable[EventType]) -> Webhook:
        """The webhook that hears of these events."""
        return Webhook(url=self.url, events=tuple(dict.fromkeys(events)), secret=self.secret)


class WebhookOptions(WebhookTarget):
    """Who is told how the job ends."""

    events: list[JobEvent] = Field(
        default=[*JOB_EVENTS], min_length=1, max_length=len(JOB_EVENTS), description="Those that are wanted."
    )


class RecordingOptions(BaseModel):
    """What may be wanted of a recording, by itself or in a batch."""

    model_config = ConfigDict(extra="forbid")

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

    def job_webhook(self) -> Webhook | None:
        """Who is told how each job ends."""
        return None


class JobOptions(RecordingOptions):
    """The `options` of a job, as JSON text."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    webhook: WebhookOptions | None = Field(default=None, description="Called when the job ends.")

    def job_webhook(self) -> Webhook | None:
        return None if self.webhook is None else self.webhook.to_be_told(self.webhook.events)


class InputReference(BaseModel):
    """A recording that is elsewhere: at a URL, or a complete upload."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(
        default=None,
        max_length=MAX_URL_CHARS,
        description="http or https; a public address; not redirected. Fetched when a worker takes the job.",
        examples=["https://example.com/talks/talk.ogg"],
    )
    upload_id: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        description="Of a complete upload (`POST /uploads`). The job's id will be the same.",
    )

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if sum(place is not None for place in self._places) != 1:
            raise ValueError(f"give one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def _places(self) -> Sequence[str | None]:
        return (self.url, self.upload_id)


class RecordingReference(InputReference):
    """A recording that is elsewhere: at a URL, a complete upload, or an earlier job's."""

    job_id: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        description="Of an earlier job whose files are kept: its recording again, without sending it again.",
    )

    @property
    def _places(self) -> Sequence[str | None]:
        return (*super()._places, self.job_id)


class JobSubmission(JobOptions):
    """A job whose recording is elsewhere: the options, and where it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"input": {"url": "https://example.com/talks/talk.ogg"}, **EXAMPLE}},
    )

    input: RecordingReference
    reference: InputReference | None = Field(
        default=None,
        description="A clean version of the recording: the report compares the recording and the result with it.",
    )

    @model_validator(mode="after")
    def _check_two_uploads(self) -> Self:
        if self.reference is not None and self.reference.upload_id == self.input.upload_id is not None:
            raise ValueError("the recording and its reference are the same upload")
        return self


@dataclass(frozen=True, kw_only=True)
class ParsedSubmission:
    """What a JSON body says."""

    input: RecordingReference
    reference: InputReference | None
    request: JobRequest


def parse_job_request(fields: Mapping[str, str]) -> JobRequest:
    """The request in `fields` (FIELD_NAMES, each optional); InvalidOptions names what is wrong with it."""
    return request_of(parse_options(JobOptions, fields.get("options", "").strip() or "{}"), fields)


def parse_submission(text: str, fields: Mapping[str, str]) -> ParsedSubmission:
    """Where the recording is and the request in a JSON body; `fields` may name the preset. InvalidOptions as above."""
    if fields.get("options"):
        raise InvalidOptions("The options are given twice: in the query beside the JSON body.")
    submission = parse_options(JobSubmission, text)
    return ParsedSubmission(
        input=submission.input, reference=submission.reference, request=request_of(submission, fields)
    )


def request_of(options: RecordingOptions, fields: Mapping[str, str]) -> JobRequest:
    """The options as a request; InvalidOptions when the `fields` name another preset."""
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
        webhook=options.job_webhook(),
    )


def parse_options(kind: type[Options], text: str, *, max_values: int = MAX_METADATA_VALUES) -> Options:
    """The JSON object in `text`, checked; InvalidOptions when it is none of that kind."""
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidOptions(f"The options are not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidOptions("The options must be a JSON object.")
    _check_storable(value, max_values=max_values)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise InvalidOptions(f"{error.error_count()} of the options are not valid.") from error


def _check_storable(value: dict[str, JsonValue], *, max_values: int) -> None:
    """Refuse what a database cannot keep: NUL in a text, an integer of more than 64 bits, thousands of values."""
    pending: list[JsonValue] = [value]
    for count, item in enumerate(pending):
        if count > max_values:
            raise InvalidOptions(f"The options hold more than {max_values} values.")
        if isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str) and "\0" in item:
            raise InvalidOptions("The options hold a NUL character (\\u0000).")
        elif isinstance(item, int) and abs(item) > MAX_INTEGER:
            raise InvalidOptions("The options hold an integer of more than 64 bits.")

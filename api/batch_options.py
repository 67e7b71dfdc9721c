"""The options of a batch, and the list of its recordings as JSON, checked and made JobRequests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from api.job_options import (
    EXAMPLE,
    RecordingOptions,
    RecordingReference,
    WebhookTarget,
    parse_options,
    request_of,
)
from core.batches.batch import MAX_ITEMS
from core.errors import InvalidOptions
from core.jobs import Lane
from core.outbound.destination import MAX_URL_CHARS
from core.services import JobRequest
from core.sources.location import Location, parse_location
from core.webhooks.events import BATCH_EVENTS, JOB_EVENTS, BatchEvent, JobEvent, Webhook

MAX_JSON_BYTES = 1024**2
MAX_VALUES = 50 * MAX_ITEMS

_ITEMS_EXAMPLE: list[JsonValue] = [
    {"input": {"url": "https://example.com/talks/1.ogg"}},
    {"input": {"url": "https://example.com/talks/2.ogg"}, "overrides": {"strength": 0.5}, "metadata": {"episode": 2}},
]


class BatchWebhookOptions(WebhookTarget):
    """Who is told how each job ends, and when all have."""

    events: list[JobEvent | BatchEvent] = Field(
        default=[*BATCH_EVENTS, *JOB_EVENTS],
        min_length=1,
        max_length=len(JOB_EVENTS) + len(BATCH_EVENTS),
        description="Those that are wanted. `batch.completed` alone is one call for the whole batch.",
    )


class BatchOptions(RecordingOptions):
    """The `options` of a batch, as JSON text: those of each of its jobs."""

    model_config = ConfigDict(json_schema_extra={"example": {**EXAMPLE, "lane": "bulk"}})

    lane: Lane = Field(default=Lane.BULK, description="`bulk` unless a person waits for the batch.")
    dedupe: Literal[False] = Field(default=False, description="Not for batches: each has jobs of its own.")
    webhook: BatchWebhookOptions | None = Field(
        default=None, description="Called when a job ends, and when the last one has."
    )

    def job_webhook(self) -> Webhook | None:
        webhook = self._webhook()
        return None if webhook is None else webhook.restricted_to(JOB_EVENTS)

    def batch_webhook(self) -> Webhook | None:
        """Who is told when the last item has ended."""
        webhook = self._webhook()
        return None if webhook is None else webhook.restricted_to(BATCH_EVENTS)

    def _webhook(self) -> Webhook | None:
        return None if self.webhook is None else self.webhook.to_be_told(self.webhook.events)


class BatchItemOptions(BaseModel):
    """One recording of a batch. What is given here replaces what the batch says, setting by setting."""

    model_config = ConfigDict(extra="forbid")

    input: RecordingReference
    preset: str | None = None
    overrides: dict[str, Any] | None = None
    outputs: list[dict[str, Any]] | None = Field(default=None, min_length=1, max_length=4)
    metadata: dict[str, Any] | None = None

    def applied_to(self, request: JobRequest) -> JobRequest:
        """The batch's request with the item's own settings."""
        own = self.model_dump(exclude={"input"}, exclude_none=True)
        return replace(request, **own) if own else request


class SourceOptions(BaseModel):
    """Recordings that lie in a bucket that the server can read. The operator says which prefixes are allowed."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        max_length=MAX_URL_CHARS,
        description="`s3://bucket/prefix`; every object whose key begins so is meant, in sub-folders too.",
        examples=["s3://archive/talks/2026/"],
    )
    patterns: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default=[],
        max_length=20,
        description="Of these, only names that match one of the shell patterns, such as `*.wav`; with a slash in it, "
        "paths below the prefix's folder, such as `2026/*.flac`. Capitals matter.",
    )

    @property
    def location(self) -> Location:
        return parse_location(self.url)

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parse_location(url)
        return url


class BatchSubmission(BatchOptions):
    """A batch whose recordings are elsewhere: a list of items, or all that lie below a prefix of a bucket."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": _ITEMS_EXAMPLE, "preset": "speech"}})

    items: list[BatchItemOptions] | None = Field(default=None, min_length=1, max_length=MAX_ITEMS)
    source: SourceOptions | None = None

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.items is None) == (self.source is None):
            raise ValueError("give either items or source")
        return self


@dataclass(frozen=True, kw_only=True)
class ParsedBatch:
    """What a JSON body says: each recording and what is wanted of it, and who is told of the end."""

    items: Sequence[tuple[RecordingReference, JobRequest]]
    source: SourceOptions | None  # instead of items: they are still to be listed
    request: JobRequest  # what is wanted of those
    webhook: Webhook | None


def parse_batch_request(fields: Mapping[str, str]) -> tuple[JobRequest, Webhook | None]:
    """The request that a form's fields make for each of its files, and who is told of the end.

    InvalidOptions names what is wrong.
    """
    options = parse_options(BatchOptions, fields.get("options", "").strip() or "{}")
    return request_of(options, fields), options.batch_webhook()


def parse_batch(text: str, fields: Mapping[str, str]) -> ParsedBatch:
    """The batch in a JSON body; `fields` may name the preset. InvalidOptions as above."""
    if fields.get("options"):
        raise InvalidOptions("The options are given twice: in the query beside the JSON body.")
    batch = parse_options(BatchSubmission, text, max_values=MAX_VALUES)
    shared = request_of(batch, fields)
    return ParsedBatch(
        items=[(item.input, item.applied_to(shared)) for item in batch.items or ()],
        source=batch.source,
        request=shared,
        webhook=batch.batch_webhook(),
    )

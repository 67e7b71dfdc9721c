"""The exception tree: one root, and below it what a caller can do about it.

    EnhancerError
      InvalidInput        the caller must change the request or the file
        InvalidAudio      the bytes are audio, or claim to be, and cannot be used
        UnsupportedMedia  the bytes are no audio that Limpid reads
        InputTooLarge     over a byte or duration limit
        InvalidOptions    an option is unknown or out of range
          UnknownPreset
        IdempotencyMismatch   the Idempotency-Key was used for another request
        ForbiddenUrl      a URL that Limpid must not or cannot request
        FetchFailed       the input's URL answers with something else than the file
      Unauthenticated     no API key, or none that is valid
      Forbidden           the API key does not allow it
      NotFound            no such job, output, model
        Gone              there was one, and it was deleted
          Expired         its files were kept as long as promised, and no longer
      Conflict            the job's state does not allow it
        IdempotencyInFlight   the first request under this Idempotency-Key is still running
      LimitReached        the API key uses all that it may; later
      ModelUnavailable    weights are not installed or do not verify
      InsecureExposure    the server would be open to strangers; the operator must choose
      MissingPackage      a setting needs an optional package
      InsufficientDisk    the scratch space that a job needs is not there
      TimeLimitExceeded   a run goes far beyond its estimate
      TransientError      try again later
        StorageError
        QueueError
        WorkersStalled    workers are idle beside jobs that wait
        WorkersAbsent     jobs wait, and no worker serves their queue
        OutboundError     a server that the caller named did not answer
        DecoderLost       the process that decoded was ended by somebody else
      JobCancelled        control flow: stop this run, the user asked for it
      LeaseLost           control flow: stop this run, another worker owns the job

`code` is stable and part of the public API; the message is for the person who reads it: what was wrong, the value, the
limit, what to do. Messages never hold a path of the server, a secret or a stack trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.access.limits import Standing


class EnhancerError(Exception):
    """Root of every error that Limpid raises on purpose."""

    code = "internal_error"
    title = "Something went wrong on our side"

    @property
    def detail(self) -> str:
        """The sentence for the person who reads it."""
        return str(self) or self.title


class InvalidInput(EnhancerError):
    """The caller must change the request or the file."""

    code = "invalid_input"
    title = "The request cannot be used as it is"


class InvalidAudio(InvalidInput):
    """The file is audio, or claims to be, but holds nothing that can be restored."""

    code = "invalid_audio"
    title = "The audio cannot be used"


class UnsupportedMedia(InvalidInput):
    """The file is not audio in any format that Limpid reads."""

    code = "unsupported_media"
    title = "This is not audio that Limpid can read"


class InputTooLarge(InvalidInput):
    """The input exceeds the byte or duration limit."""

    code = "input_too_large"
    title = "The input is too large"


class InvalidOptions(InvalidInput):
    """An option is unknown, of the wrong type or out of range."""

    code = "invalid_options"
    title = "An option is not valid"


class UnknownPreset(InvalidOptions):
    """There is no preset of this name."""

    code = "unknown_preset"
    title = "There is no such preset"


def of_reference(error: InvalidInput) -> InvalidInput:
    """The same error, saying that the reference is meant and not the recording."""
    return type(error)(f"The reference cannot be used. {error.detail}")


class IdempotencyMismatch(InvalidInput):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_mismatch"
    title = "This Idempotency-Key was used for another request"


class ForbiddenUrl(InvalidInput):
    """The URL leads into a private network, or is none that Limpid requests."""

    code = "forbidden_url"
    title = "The URL cannot be used"


class FetchFailed(InvalidInput):
    """The server at the input's URL answered, and not with the file."""

    code = "fetch_failed"
    title = "The recording could not be fetched from its URL"


class Unauthenticated(EnhancerError):
    """The request has no API key, or none that is valid."""

    code = "unauthenticated"
    title = "An API key is needed"


class Forbidden(EnhancerError):
    """The API key does not allow the request."""

    code = "forbidden"
    title = "The API key does not allow this"


class NotFound(EnhancerError):
    """What was asked for does not exist, or is not the caller's."""

    code = "not_found"
    title = "Not found"


class Gone(NotFound):
    """There was one; it was deleted."""

    code = "gone"
    title = "Deleted"


class Expired(Gone):
    """The files were kept as long as promised, and are removed."""

    code = "expired"
    title = "The files have expired"


class Conflict(EnhancerError):
    """The resource's state does not allow the request."""

    code = "conflict"
    title = "The job's state does not allow this"


class IdempotencyInFlight(Conflict):
    """The first request under this Idempotency-Key has not been answered yet."""

    code = "idempotency_in_flight"
    title = "The first request with this Idempotency-Key is still running"


class LimitReached(EnhancerError):
    """The API key uses all that it may. `standings` are core.access.limits.Standing, for the answer's header."""

    code = "limit_reached"
    title = "A limit of the API key is reached"

    def __init__(self, message: str, *, retry_after_s: int, standings: Sequence[Standing]) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.standings = standings


class ModelUnavailable(EnhancerError):
    """The model's weights are not installed, or do not verify."""

    code = "model_unavailable"
    title = "The model is not installed"


class InsecureExposure(EnhancerError):
    """The configuration would open the server to strangers."""

    code = "insecure_exposure"
    title = "The server would be open to strangers"


class MissingPackage(EnhancerError):
    """A setting asks for something whose optional packages are not installed."""

    code = "missing_package"
    title = "An optional package is not installed"


class InsufficientDisk(EnhancerError):
    """The scratch space that the job needs is not free."""

    code = "insufficient_disk"
    title = "Not enough scratch space"


class TimeLimitExceeded(EnhancerError):
    """A run takes far longer than its work can take."""

    code = "time_limit_exceeded"
    title = "The job took too long"


class TransientError(EnhancerError):
    """A service did not answer; the same call may succeed later."""

    code = "temporarily_unavailable"
    title = "A service that Limpid needs did not answer"


class StorageError(TransientError):
    """The object store did not answer or refused."""

    code = "storage_error"
    title = "The object store did not answer"


class QueueError(TransientError):
    """The broker did not take the message; the sweeper sends it later."""

    code = "queue_error"
    title = "The job queue did not answer"


class WorkersStalled(TransientError):
    """Workers are there and idle, and do not take the jobs that wait."""

    code = "stalled"
    title = "The workers do not take jobs"


class WorkersAbsent(TransientError):
    """Jobs wait in a queue that no worker serves."""

    code = "absent"
    title = "There are no workers"


class OutboundError(TransientError):
    """A server that the caller named, for a webhook or an input, did not answer."""

    code = "outbound_error"
    title = "The other server did not answer"


class DecoderLost(TransientError):
    """The process that decoded the recording was ended from outside: no fault of the recording."""

    code = "decoder_lost"
    title = "Decoding was interrupted"


class JobCancelled(EnhancerError):
    """Raised inside a run whose job was asked to stop."""

    code = "cancelled"
    title = "The job was cancelled"


class LeaseLost(EnhancerError):
    """Raised inside a run whose lease has passed to another worker."""

    code = "lease_lost"
    title = "Another worker has taken this job"

"""The folder watcher: takes complete recordings out of a folder, has them enhanced, and puts everything into place.

Every step of a claim is stored before the next one begins, and each may be repeated: a watcher that is killed at any
point goes on where it was, and gives no recording to the server twice.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import InvalidOptions
from core.jobs import JobStatus, Problem
from worker.ingest.claims import Claim, ClaimStore, Step
from worker.ingest.folder import Candidate, WatchedFolder, state_of
from worker.ingest.job_options import merged_options, read_options
from worker.ingest.placing import place, sha256_of
from worker.ingest.service import EnhancementService, JobLost, Refused, ServiceUnavailable
from worker.ingest.stability import StabilityWindow

logger = logging.getLogger(__name__)

MAX_ACTIVE = 50
"""Recordings at the server at a time; the others stay in the folder."""

MAX_SUBMISSIONS = 3
"""A recording whose job the server loses again and again fails after so many."""

FIRST_RETRY_S = 2.0
MAX_RETRY_S = 60.0

JOB_LOST = Problem(
    code="job_lost",
    title="The server lost the job",
    detail=f"The server forgot the job, or its results, {MAX_SUBMISSIONS} times.",
)


@dataclass(kw_only=True, eq=False)
class _Active:
    """A claim, and when it may be tried again after a fault."""

    claim: Claim
    faults: int = 0  # one after the other
    due_s: float = 0.0


class Ingester:
    """The state of one watcher. `step` does everything that can be done now; the caller decides how often.

    `defaults` are the options of recordings for which no file says otherwise. `clock` gives seconds, `now` the time.
    With `is_once`, recordings that arrive after the first step are left alone.
    """

    def __init__(
        self,
        folder: WatchedFolder,
        service: EnhancementService,
        *,
        defaults: Mapping[str, Any],
        stable_s: float,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        is_once: bool = False,
    ) -> None:
        self._folder = folder
        self._service = service
        self._defaults = defaults
        self._clock = clock
        self._now = now
        self._is_once = is_once
        self._first_found: frozenset[Path] | None = None
        self._claims = ClaimStore(folder)
        self._window = StabilityWindow(stable_s=stable_s, clock=clock)
        self._active = [_Active(claim=claim) for claim in self._claims.load()]
        self._steps: Mapping[Step, Callable[[Claim], Claim | None]] = {
            Step.CLAIMED: self._check,
            Step.CHECKED: self._submit,
            Step.SUBMITTED: self._follow,
            Step.FETCHED: self._deliver,
            Step.DONE: self._settle,
            Step.FAILED: self._settle,
        }
        self.done = 0  # recordings whose results are in place
        self.failed = 0
        self.faults = 0  # one after the other, since a recording last came on, or was found to be waiting as it should
        for active in self._active:
            logger.info("ingest_resumed", extra=_log_fields(active.claim))

    @property
    def is_busy(self) -> bool:
        """True while a recording is on its way, or is there and not yet complete."""
        return self.waiting > 0

    @property
    def waiting(self) -> int:
        """Recordings that are on their way, or there and not yet taken."""
        return len(self._active) + self._window.waiting

    def step(self) -> None:
        """Take what is complete and move every claim on as far as it goes. Faults are logged and tried again later."""
        self._take(self._window.update(self._found()))
        for active in list(self._active):
            if active.due_s <= self._clock() and not self._advance(active):
                break

    def _found(self) -> list[Candidate]:
        found = list(self._folder.scan())
        if self._first_found is None:
            self._first_found = frozenset(candidate.path for candidate in found)
        return [candidate for candidate in found if not self._is_once or candidate.path in self._first_found]

    def _take(self, candidates: list[Candidate]) -> None:
        for candidate in candidates[: max(0, MAX_ACTIVE - len(self._active))]:
            self._window.forget(candidate.path)
            try:
                claim = self._claims.take(candidate)
            except OSError as error:
                extra = {"recording": str(candidate.path), "reason": _reason(error)}
                logger.warning("ingest_not_claimed", extra=extra)
                continue
            if claim is not None:
                self._active.append(_Active(claim=claim))

    def _advance(self, active: _Active) -> bool:
        """Do the claim's next steps until it must wait, or is through; False when the server does not answer."""
        try:
            while (following := self._steps[active.claim.step](active.claim)) is not active.claim:
                if following is None:
                    self._active.remove(active)
                    self.faults = 0
                    return True
                self._claims.save(following)
                active.claim = following
        except (ServiceUnavailable, OSError, InvalidOptions) as error:
            self._hold_up(active, error)
            return not isinstance(error, ServiceUnavailable)
        active.faults = self.faults = 0
        return True

    def _hold_up(self, active: _Active, error: ServiceUnavailable | OSError | InvalidOptions) -> None:
        if not self._claims.exists(active.claim):
            logger.warning("ingest_claim_vanished", extra=_log_fields(active.claim))
            self._active.remove(active)
            return
        self.faults += 1
        active.faults += 1
        delay_s = min(FIRST_RETRY_S * 2.0 ** min(active.faults - 1, 16), MAX_RETRY_S)
        active.due_s = self._clock() + delay_s
        reason = _reason(error) if isinstance(error, OSError) else error.detail
        extra = {**_log_fields(active.claim), "reason": reason, "retry_in_s": delay_s}
        logger.warning("ingest_held_up", extra=extra)

    def _check(self, claim: Claim) -> Claim | None:
        """The recording's hash and options. A recording that changed since it was found complete goes back."""
        recording = self._claims.recording(claim)
        sha256 = sha256_of(recording)
        if state_of(recording) != claim.state:
            logger.info("ingest_not_complete", extra=_log_fields(claim))
            self._claims.put_back(claim)
            return None
        if claim.state.size_bytes == 0:
            problem = Problem(code="unsupported_media", title="The file is empty", detail="The file has 0 bytes.")
            return self._fail(replace(claim, sha256=sha256), problem)
        # A broken limpid.json holds back its folder until it is repaired; a broken options file fails its recording.
        inherited = self._folder.folder_options(Path(claim.path))
        layers = [self._defaults, {} if inherited is None else read_options(inherited)]
        own = self._claims.options_file(claim)
        try:
            layers.append(read_options(own) if own.is_file() else {})
        except InvalidOptions as error:
            return self._fail(claim, Problem(code=error.code, title=error.title, detail=error.detail))
        return replace(claim, step=Step.CHECKED, sha256=sha256, options=merged_options(*layers))

    def _submit(self, claim: Claim) -> Claim:
        try:
            job_id = self._service.submit(
                self._claims.recording(claim), options=claim.options or {}, idempotency_key=_idempotency_key(claim)
            )
        except Refused as error:
            return self._fail(claim, error.problem)
        logger.info("ingest_submitted", extra={**_log_fields(claim), "job_id": job_id})
        return replace(claim, step=Step.SUBMITTED, job_id=job_id)

    def _follow(self, claim: Claim) -> Claim:
        try:
            job = self._service.follow(str(claim.job_id))
            if not job.status.is_terminal:
                return claim
            if job.status is JobStatus.SUCCEEDED:
                shutil.rmtree(self._staging(claim), ignore_errors=True)  # of a fetch that broke off
                self._staging(claim).mkdir(parents=True)
                self._service.fetch(str(claim.job_id), self._staging(claim))
                return replace(claim, step=Step.FETCHED)
        except JobLost as error:
            logger.warning("ingest_job_lost", extra={**_log_fields(claim), "reason": error.detail})
            if claim.submission >= MAX_SUBMISSIONS:
                return self._fail(claim, JOB_LOST)
            return replace(claim, step=Step.CHECKED, submission=claim.submission + 1, job_id=None)
        cancelled = Problem(code="cancelled", title="The job was cancelled", detail="Somebody cancelled the job.")
        return self._fail(claim, job.problem or cancelled)

    def _deliver(self, claim: Claim) -> Claim:
        folder = self._folder.results / Path(claim.path).parent
        staging = self._staging(claim)
        if staging.is_dir():  # else all was delivered by a watcher that could not note it any more
            for result in sorted(staging.iterdir()):
                placed = place(result, folder / result.name)
                logger.info("ingest_delivered", extra={**_log_fields(claim), "file": str(placed)})
            shutil.rmtree(staging)
        return replace(claim, step=Step.DONE)

    def _fail(self, claim: Claim, problem: Problem) -> Claim:
        reason = {
            "recording": claim.path,
            "code": problem.code,
            "title": problem.title,
            "detail": problem.detail,
            "job_id": claim.job_id,
            "sha256": claim.sha256,
            "failed_at": self._now().isoformat(timespec="seconds"),
        }
        self._claims.write_reason(claim, reason)
        extra = {**_log_fields(claim), "code": problem.code, "reason": problem.detail}
        logger.warning("ingest_not_enhanced", extra=extra)
        return replace(claim, step=Step.FAILED)

    def _settle(self, claim: Claim) -> None:
        is_done = claim.step is Step.DONE
        place_now = self._claims.settle(claim)
        self.done += is_done
        self.failed += not is_done
        logger.info(f"ingest_{claim.step}", extra={**_log_fields(claim), "moved_to": str(place_now)})

    def _staging(self, claim: Claim) -> Path:
        return self._folder.staging / claim.id


def _idempotency_key(claim: Claim) -> str:
    """The same for every attempt to submit this claim, and for no other: the same file put there again is a new job."""
    parts = f"{claim.id}\n{claim.path}\n{claim.sha256}\n{claim.submission}"
    return hashlib.sha256(parts.encode(errors="surrogateescape")).hexdigest()


def _log_fields(claim: Claim) -> dict[str, str]:
    return {"recording": claim.path, **({"job_id": claim.job_id} if claim.job_id else {})}


def _reason(error: OSError) -> str:
    return error.strerror or str(error)

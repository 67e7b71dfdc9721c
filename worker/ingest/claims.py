"""Claimed recordings: taken out of the folder by one rename, with a record that survives every crash.

Each claim is a folder of its own below `.limpid/claimed`: `record.json`, and in `files/` the recording under its own
name, its options file and, once it has failed, the reason. The rename is the claim: of two watchers, one gets the file.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.atomic_files import write_atomically
from core.ids import new_id
from worker.ingest.folder import OPTIONS_SUFFIX, Candidate, FileState, WatchedFolder, state_of
from worker.ingest.placing import place

logger = logging.getLogger(__name__)

REASON_SUFFIX = ".reason.json"

_RECORD = "record.json"
_FILES = "files"


class Step(StrEnum):
    """How far a claimed recording is."""

    CLAIMED = "claimed"
    CHECKED = "checked"  # complete; its hash and options are known
    SUBMITTED = "submitted"  # the server has it as a job
    FETCHED = "fetched"  # the results are here, not yet in place
    DONE = "done"  # the results are in place
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One recording on its way; its record, as it is stored."""

    id: str
    path: str  # of the recording, relative to the watched folder
    size_bytes: int
    mtime_ns: int
    step: Step = Step.CLAIMED
    sha256: str | None = None
    options: Mapping[str, Any] | None = None  # of the job, as submitted
    submission: int = 1  # raised when the server has lost the job and must be given the recording again
    job_id: str | None = None

    @property
    def state(self) -> FileState:
        """The recording's state when it was found complete."""
        return FileState(size_bytes=self.size_bytes, mtime_ns=self.mtime_ns)


class ClaimStore:
    """The claims of one watched folder. Errors of the file system are OSError."""

    def __init__(self, folder: WatchedFolder) -> None:
        self._folder = folder
        self._root = folder.state / "claimed"

    def take(self, candidate: Candidate) -> Claim | None:
        """Claim a recording and its options file; None when it is no longer there: somebody else was faster."""
        claim = Claim(
            id=new_id(),
            path=candidate.path.as_posix(),
            size_bytes=candidate.state.size_bytes,
            mtime_ns=candidate.state.mtime_ns,
        )
        files = self._files(claim)
        files.mkdir(parents=True)
        self.save(claim)
        try:
            # The recording comes last: once it is here, so is everything that belongs to it.
            for path in (candidate.options_path, candidate.path):
                if path is not None:
                    (self._folder.source / path).rename(files / path.name)
        except OSError as error:
            self.put_back(claim)
            if isinstance(error, FileNotFoundError):
                return None
            raise
        return claim

    def load(self) -> list[Claim]:
        """The claims that an earlier watcher left unfinished, the oldest first. Remains of crashes are tidied up."""
        if not self._root.is_dir():
            return []
        claims = [self._read(folder) for folder in sorted(self._root.iterdir()) if folder.is_dir()]
        return [claim for claim in claims if claim is not None and self._is_whole(claim)]

    def save(self, claim: Claim) -> None:
        """Store how far the claim is."""
        write_atomically(self._root / claim.id / _RECORD, json.dumps(asdict(claim), indent=1).encode())

    def recording(self, claim: Claim) -> Path:
        """Where the recording is now."""
        return self._files(claim) / Path(claim.path).name

    def options_file(self, claim: Claim) -> Path:
        """Where the recording's own options are, if it has any."""
        return self._companion(claim, OPTIONS_SUFFIX)

    def write_reason(self, claim: Claim, reason: Mapping[str, Any]) -> None:
        """Put beside the recording why it failed."""
        text = json.dumps(reason, indent=2, ensure_ascii=False) + "\n"
        # A file name that is no UTF-8 comes as lone surrogates; they become JSON's own escapes for them.
        write_atomically(self._companion(claim, REASON_SUFFIX), text.encode(errors="backslashreplace"))

    def put_back(self, claim: Claim) -> None:
        """Return the recording to the folder: it was not complete."""
        self._move_out(claim, self._folder.source)

    def settle(self, claim: Claim) -> Path:
        """Move the recording of a claim that is DONE or FAILED, and what belongs to it, to its place; the place."""
        return self._move_out(claim, self._folder.done if claim.step is Step.DONE else self._folder.failed)

    def exists(self, claim: Claim) -> bool:
        """False once the claim is settled, or somebody has removed it."""
        return (self._root / claim.id / _RECORD).is_file()

    def has_recording(self, claim: Claim) -> bool:
        """True while nobody has taken the recording away from us."""
        return state_of(self.recording(claim)) is not None

    def _move_out(self, claim: Claim, root: Path) -> Path:
        target = root / claim.path
        if self.has_recording(claim):
            target = place(self.recording(claim), target)
        for suffix in (OPTIONS_SUFFIX, REASON_SUFFIX):
            companion = self._companion(claim, suffix)
            if companion.is_file():
                place(companion, target.with_name(target.name + suffix))
        self._remove(claim)
        return target

    def _read(self, folder: Path) -> Claim | None:
        try:
            record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            return replace(Claim(**record), step=Step(record["step"]))
        except FileNotFoundError:
            shutil.rmtree(folder, ignore_errors=True)  # a claim that had not yet taken anything
        except (ValueError, TypeError, KeyError) as error:
            logger.error("claim_not_readable", extra={"folder": str(folder), "reason": str(error)})
        return None

    def _is_whole(self, claim: Claim) -> bool:
        """True when there is something to go on with; else what is left of the claim is moved to its place."""
        if self.has_recording(claim):
            return True
        if claim.step in (Step.DONE, Step.FAILED):
            self.settle(claim)
        else:
            self.put_back(claim)
        return False

    def _companion(self, claim: Claim, suffix: str) -> Path:
        recording = self.recording(claim)
        return recording.with_name(recording.name + suffix)

    def _files(self, claim: Claim) -> Path:
        return self._root / claim.id / _FILES

    def _remove(self, claim: Claim) -> None:
        shutil.rmtree(self._root / claim.id)

"""What a failed run tells its user."""

from __future__ import annotations

import errno

from core.errors import EnhancerError, InsufficientDisk
from core.jobs import Problem

OUT_OF_MEMORY = Problem(
    code="out_of_memory",
    title="Not enough memory",
    detail="The worker ran out of memory. Retry with a faster preset, or split the recording.",
)
INTERNAL_ERROR = Problem(
    code=EnhancerError.code,
    title=EnhancerError.title,
    detail="The job met an error that we did not foresee. It is in the worker's log under this job's id.",
)


def problem_of(error: Exception) -> Problem:
    """The problem that `error` means; INTERNAL_ERROR for what nobody foresaw."""
    if isinstance(error, EnhancerError):
        return Problem(code=error.code, title=error.title, detail=error.detail)
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Problem(
            code=InsufficientDisk.code,
            title=InsufficientDisk.title,
            detail="The scratch disk filled up during the job; free some space and retry.",
        )
    return INTERNAL_ERROR


def is_out_of_memory(error: Exception) -> bool:
    """True for Python's MemoryError and for PyTorch's, on the GPU (a class) and on the CPU (only a message)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

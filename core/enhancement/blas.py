"""One thread for the matrix products of NumPy and SciPy: their blocks are too small to be worth a second one.

OpenBLAS starts a thread for each core, whatever PyTorch was told, and they wait for each other by spinning. Where other
work keeps the cores busy that more than doubled the CPU time of a job.
"""

from __future__ import annotations

from functools import cache

from threadpoolctl import ThreadpoolController


def use_one_blas_thread() -> None:
    """Keep this process's BLAS libraries to one thread, for good; those that were loaded before the first call."""
    _libraries().limit(limits=1, user_api="blas")


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all of the process's libraries: milliseconds

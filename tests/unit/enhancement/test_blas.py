"""Matrix products of NumPy keep to one thread."""

from __future__ import annotations

import os

import pytest
import scipy.linalg  # noqa: F401 - with NumPy it brings the libraries
import threadpoolctl

from core.enhancement.blas import use_one_blas_thread


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread")
def test_blas_keeps_to_one_thread() -> None:
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        before = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        assert before
        assert set(before) == {2}

        use_one_blas_thread()

        after = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        assert after == [1] * len(before)

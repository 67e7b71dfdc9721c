"""A process reuses the memory that it freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCK_PAGES = 16_384
SCRIPT = f"""
import mmap
import resource

import numpy as np

from core.enhancement.heap import keep_freed_memory, return_freed_memory


def faults_of_a_block():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones({BLOCK_PAGES} * mmap.PAGESIZE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


print(faults_of_a_block(), faults_of_a_block())
keep_freed_memory()
print(faults_of_a_block(), faults_of_a_block())
return_freed_memory()
print(faults_of_a_block(), faults_of_a_block())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a matter of glibc")
def test_freed_block_is_had_again_without_page_faults() -> None:
    """In a process of its own, which it changes for good."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)

    _, at_first, _, kept, _, returned = map(int, run.stdout.split())
    assert kept < BLOCK_PAGES / 100
    assert at_first > kept
    assert returned > kept

"""The short form of `python -m benchmarks.api`: the API holds no recording, whichever way it passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.api import measure_streaming

SIZE_MIB = 96
GROWTH_MIB = 32  # a third of what passes; what is held of it anywhere shows


@pytest.mark.timeout(300)
def test_large_recording_passes_without_being_held(tmp_path: Path) -> None:
    figures = measure_streaming(tmp_path, mib=SIZE_MIB)

    assert figures["body_growth_mib"] <= GROWTH_MIB
    assert figures["form_growth_mib"] <= GROWTH_MIB
    assert figures["fetch_growth_mib"] <= GROWTH_MIB

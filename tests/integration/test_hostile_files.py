"""The short form of `python -m tests.chaos.hostile`: every lie and bomb, and some mutations of every format."""

from __future__ import annotations

import pytest

from core.audio.wire import DecoderLimits
from tests.chaos.hostile import feed
from tests.chaos.hostile_files import hostile_files, seed_files

MUTATIONS = 80
STALL_S = 30.0


@pytest.mark.timeout(600)
def test_hostile_files_are_read_or_refused_in_time_without_growth() -> None:
    verdict = feed(hostile_files(mutations=MUTATIONS, seed=1), limits=DecoderLimits(stall_s=STALL_S))

    assert verdict.violations == []
    assert verdict.outcomes["too long"] == 1  # the FLAC that says nothing of its length
    assert verdict.outcomes["read"] > 0
    assert verdict.outcomes["invalid_audio"] > 0
    assert verdict.outcomes["unsupported_media"] > 0


def test_seeds_cover_what_the_libraries_here_can_write() -> None:
    names = {file.name.partition("-")[0] for file in seed_files()}

    assert names >= {"wav", "rf64", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3"}
    assert names >= {"adts", "mp4", "mov", "matroska", "webm", "mpegts", "flv", "avi", "asf"}

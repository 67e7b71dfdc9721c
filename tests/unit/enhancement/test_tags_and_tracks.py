"""What a file holds beside its sound goes through the pipeline, and of several sound tracks the chosen one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.audio.cover import read_cover
from core.audio.encode import AudioWriter
from core.audio.tags import read_tags
from core.enhancement.pipeline import PipelineResult, run_pipeline
from core.errors import InvalidOptions
from core.options import resolve_options
from tests.unit.audio.pictures_and_tracks import make_cover, write_tracks

TAGS = {"title": "A talk", "tracknumber": "3"}


def run(source: Path, workspace: Path, *formats: str, track: int = 1) -> PipelineResult:
    workspace.mkdir()
    return run_pipeline(
        source,
        options=resolve_options(
            "clean-only",
            {"chain": [], "pictures": False, "track": track},
            [{"format": name} for name in formats or ("wav",)],
        ),
        input_name=source.name,
        workspace=workspace,
        enhancer=None,
        on_progress=lambda stage, progress: None,
    )


@pytest.mark.parametrize("source_format", ["wav", "flac", "mp3", "m4a", "opus", "ogg"])
def test_tags_and_cover_reach_every_output(tmp_path: Path, source_format: str) -> None:
    source, cover = tmp_path / f"talk.{source_format}", make_cover()
    with AudioWriter(source, source_format, sample_rate=48_000, channels=1, tags=TAGS, cover=cover) as writer:
        writer.write(0.1 * np.ones((1, 4800), np.float32))

    result = run(source, tmp_path / "work", "flac", "mp3", "m4a", "opus")
    others = run(source, tmp_path / "more", "ogg", "wav")

    files = [*result.files, *others.files]
    assert [file.name.rpartition(".")[2] for file in files] == ["flac", "mp3", "m4a", "opus", "ogg", "wav"]
    assert all(read_tags(file.path).items() >= TAGS.items() for file in files)
    assert [read_cover(file.path) for file in files] == [cover] * 6


def test_chosen_track_is_enhanced_and_reported(tmp_path: Path) -> None:
    film = write_tracks(tmp_path / "film.mkv", [440.0, 3000.0], seconds=0.5)

    second = run(film, tmp_path / "second", track=2)
    default = run(film, tmp_path / "default")

    assert (second.report["input"]["track"], second.report["input"]["tracks"]) == (2, 2)
    assert (default.report["input"]["track"], default.report["input"]["tracks"]) == (1, 2)
    assert second.report["input"]["bandwidth_hz"] > 2900 > default.report["input"]["bandwidth_hz"]
    assert default.warnings[0] == "The file holds 2 sound tracks; this is track 1. The override track chooses."
    assert read_tags(second.files[0].path)["title"] == "track 2"


def test_track_that_is_not_there_ends_the_run(tmp_path: Path) -> None:
    film = write_tracks(tmp_path / "film.mkv", [440.0], seconds=0.1)

    with pytest.raises(InvalidOptions, match="one sound track"):
        run(film, tmp_path / "work", track=2)

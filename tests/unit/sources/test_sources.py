"""Which recordings of a bucket are meant, and which may be read."""

from __future__ import annotations

import pytest

from core.errors import ForbiddenUrl, InvalidInput
from core.sources import source as source_module
from core.sources.location import Location, parse_location, parse_sources
from core.sources.source import Sources
from tests.source_fakes import FakeObjectSource

KEYS = ["talks/", "talks/a.wav", "talks/b.WAV", "talks/notes.txt", "talks/2026/c.wav", "talks/2026/d.flac", "x.wav"]


def sources(*allowed: str, keys: list[str] = KEYS) -> Sources:
    source = FakeObjectSource({("archive", key): b"sound" for key in keys})
    return Sources(source, allowed=parse_sources(allowed or ["s3://archive/talks/"]), own_bucket="limpid")


def found(patterns: list[str], *, url: str = "s3://archive/talks/", limit: int = 100) -> list[str]:
    return [item.location.prefix for item in sources().find(parse_location(url), patterns, limit=limit)]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], ["talks/2026/c.wav", "talks/2026/d.flac", "talks/a.wav", "talks/b.WAV", "talks/notes.txt"]),
        (["*.wav"], ["talks/2026/c.wav", "talks/a.wav"]),
        (["*.wav", "*.WAV"], ["talks/2026/c.wav", "talks/a.wav", "talks/b.WAV"]),
        (["2026/*"], ["talks/2026/c.wav", "talks/2026/d.flac"]),
        (["?.flac"], ["talks/2026/d.flac"]),
    ],
)
def test_patterns_choose_by_name_or_by_path(patterns: list[str], expected: list[str]) -> None:
    assert found(patterns) == expected


def test_a_prefix_may_end_within_a_name() -> None:
    assert found(["2026/*.wav"], url="s3://archive/talks/2026") == ["talks/2026/c.wav"]


def test_nothing_that_is_meant_is_an_error_not_an_empty_batch() -> None:
    with pytest.raises(InvalidInput, match=r"s3://archive/talks/ is no recording"):
        found(["*.ogg"])


def test_more_than_a_batch_takes_is_refused_with_the_number() -> None:
    with pytest.raises(InvalidInput, match="are 5 recordings; a batch takes 4"):
        found([], limit=4)


def test_an_endless_prefix_is_not_listed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "MAX_LISTED", 3)

    with pytest.raises(InvalidInput, match="more than 3 objects"):
        found(["*.flac"])


@pytest.mark.parametrize("url", ["s3://archive/", "s3://archive/x.wav", "s3://another/talks/"])
def test_only_allowed_prefixes_are_read(url: str) -> None:
    with pytest.raises(ForbiddenUrl, match="LIMPID_BATCH_SOURCES"):
        found([], url=url)


def test_nothing_is_allowed_at_first() -> None:
    nothing = Sources(FakeObjectSource(), allowed=(), own_bucket="limpid")

    with pytest.raises(ForbiddenUrl):
        nothing.check(parse_location("s3://archive/"))


def test_limpids_own_objects_are_never_read_whatever_is_allowed() -> None:
    # Settings refuse such a source; the last line of defence does not rely on that.
    reaching = Sources(FakeObjectSource(), allowed=[Location(bucket="limpid", prefix="")], own_bucket="limpid")

    with pytest.raises(ForbiddenUrl, match="itself stores"):
        reaching.fetch(parse_location("s3://limpid/jobs/1/input"), lambda block: None, max_bytes=10)


def test_a_folder_as_a_store_has_no_buckets() -> None:
    with pytest.raises(ForbiddenUrl, match="no S3 object store"):
        Sources(None, allowed=parse_sources(["s3://archive/"]), own_bucket="limpid").check(
            parse_location("s3://archive/a")
        )


def test_a_recording_becomes_an_input_under_its_own_name() -> None:
    [item] = sources().find(parse_location("s3://archive/talks/a"), [], limit=1)

    recording = item.as_input("jobs/1/input")

    assert (recording.name, recording.bytes, recording.url) == ("a.wav", 5, "s3://archive/talks/a.wav")
    assert not recording.is_stored

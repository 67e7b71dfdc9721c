"""Where recordings lie in an object store."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from core.settings import Settings
from core.sources.location import Location, parse_location, parse_sources


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("s3://archive/talks/2026/", "talks/2026/"),
        ("s3://archive/", ""),
        ("s3://archive/talks/Gespr%C3%A4ch%20%231.ogg", "talks/Gespräch #1.ogg"),
        ("s3://archive/a%2Fb?c", "a/b?c"),
    ],
)
def test_a_location_is_a_bucket_and_a_prefix(text: str, prefix: str) -> None:
    location = parse_location(text)

    assert location == Location(bucket="archive", prefix=prefix)
    assert parse_location(location.url) == location


@pytest.mark.parametrize(
    "text",
    [
        "https://archive/talks/",
        "s3://archive",
        "s3:///talks/",
        "s3://Archive/talks/",
        "s3://user:password@archive/talks/",
        "s3://archive:9000/talks/",
        "s3://archive/%00",
        "s3://archive/%ff",
        "s3://archive/" + "a" * 1025,
    ],
)
def test_what_names_no_bucket_and_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"s3|prefix"):
        parse_location(text)


def test_an_allowed_prefix_ends_with_a_folder() -> None:
    assert parse_sources(["s3://a-bucket/", " s3://archive/talks/ ", ""]) == (
        Location(bucket="a-bucket", prefix=""),
        Location(bucket="archive", prefix="talks/"),
    )
    with pytest.raises(ValueError, match="must end in a slash"):
        parse_sources(["s3://archive/team"])


@pytest.mark.parametrize(
    ("url", "is_held"),
    [
        ("s3://archive/talks/", True),
        ("s3://archive/talks/2026/a", True),
        ("s3://archive/talks", False),
        ("s3://archive/", False),
        ("s3://another/talks/", False),
    ],
)
def test_a_location_holds_what_begins_like_it(url: str, is_held: bool) -> None:
    assert parse_location("s3://archive/talks/").holds(parse_location(url)) is is_held


@pytest.mark.parametrize(
    ("url", "reaches"),
    [
        ("s3://limpid/", True),
        ("s3://limpid/j", True),
        ("s3://limpid/jobs/", True),
        ("s3://limpid/jobs/0199a1b2/input", True),
        ("s3://limpid/jobs-of-mine/", False),
        ("s3://limpid/incoming/", False),
        ("s3://archive/jobs/", False),
    ],
)
def test_limpids_own_objects_are_out_of_reach(url: str, reaches: bool) -> None:
    assert parse_location(url).reaches_reserved("limpid") is reaches


def test_sources_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_BATCH_SOURCES", "s3://archive/talks/,s3://limpid/incoming/")

    assert [source.url for source in Settings().batch_sources] == ["s3://archive/talks/", "s3://limpid/incoming/"]


@pytest.mark.parametrize("value", ["s3://limpid/", "s3://limpid/jobs/", "archive/talks/", "s3://archive/team"])
def test_sources_that_cannot_be_meant_end_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LIMPID_BATCH_SOURCES", value)

    with pytest.raises(ValidationError, match=r"s3://|reach"):
        Settings()

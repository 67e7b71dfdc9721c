"""Engines that stay loaded."""

from __future__ import annotations

from typing import Any

import pytest

from worker.model_cache import ModelCache, ModelKey


def key(name: str, **changes: Any) -> ModelKey:  # noqa: ANN401
    """A key that differs by name unless told otherwise."""
    arguments: dict[str, Any] = {"shifts": 0, "overlap": 0.25, "stems": None, "device": "cpu", **changes}
    return ModelKey(name=name, **arguments)


@pytest.fixture
def loaded() -> list[ModelKey]:
    """The keys that were loaded, in order."""
    return []


def cache_of(loaded: list[ModelKey], *, capacity: int) -> ModelCache:
    """A cache whose engines are new objects."""

    def load(wanted: ModelKey) -> Any:  # noqa: ANN401
        loaded.append(wanted)
        return object()

    return ModelCache(load, capacity=capacity)


def test_an_engine_is_loaded_once(loaded: list[ModelKey]) -> None:
    cache = cache_of(loaded, capacity=2)

    assert cache.get(key("a")) is cache.get(key("a"))
    assert loaded == [key("a")]


@pytest.mark.parametrize(
    "change",
    [{"shifts": 1}, {"overlap": 0.5}, {"stems": ("vocals",)}, {"device": "cuda"}, {"precision": "fast"}],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_are_another_engine(loaded: list[ModelKey], change: dict[str, Any]) -> None:
    cache = cache_of(loaded, capacity=2)

    assert cache.get(key("a")) is not cache.get(key("a", **change))


def test_the_least_recently_used_engine_makes_room(loaded: list[ModelKey]) -> None:
    cache = cache_of(loaded, capacity=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        cache.get(key(name))

    assert [wanted.name for wanted in loaded] == ["a", "b", "c", "b"]


def test_an_engine_that_does_not_load_is_tried_again(loaded: list[ModelKey]) -> None:
    def load(wanted: ModelKey) -> Any:  # noqa: ANN401
        loaded.append(wanted)
        if len(loaded) == 1:
            raise MemoryError
        return object()

    cache = ModelCache(load, capacity=1)

    with pytest.raises(MemoryError):
        cache.get(key("a"))
    assert cache.get(key("a")) is cache.get(key("a"))


def test_a_cache_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="0 engines"):
        cache_of([], capacity=0)


def test_engine_is_prepared_each_time_before_it_runs() -> None:
    prepared: list[tuple[ModelKey, Any]] = []
    cache = ModelCache(lambda wanted: object(), capacity=1, prepare=lambda *of: prepared.append(of))  # type: ignore[arg-type, return-value]

    engines = [cache.get(key("a")), cache.get(key("a"))]

    assert prepared == [(key("a"), engine) for engine in engines]

"""How many threads an engine gets: by a timer that tells what it is told to, and once by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.identity import IdentityEnhancer
from core.enhancement.protocol import Enhancer, EnhancerInfo
from core.enhancement.threads import ThreadChoice, measure_threads, seconds_of

ENGINE = IdentityEnhancer(sample_rate=16_000)


@pytest.fixture(autouse=True)
def threads_of_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Timer:
    """Takes the seconds that `by_threads` says; remembers what it was asked."""

    def __init__(self, by_threads: dict[int, float]) -> None:
        self.by_threads = by_threads
        self.asked: list[int] = []

    def __call__(self, engine: Enhancer, threads: int) -> float:
        self.asked.append(threads)
        return self.by_threads[threads]


@pytest.mark.parametrize(
    ("by_threads", "most", "expected"),
    [
        pytest.param({1: 8.0, 2: 4.1, 4: 2.2, 8: 1.4}, 8, 8, id="each doubling pays"),
        pytest.param({1: 8.0, 2: 4.1, 4: 3.9}, 8, 2, id="the second doubling does not pay"),
        pytest.param({1: 1.0, 2: 7.0}, 8, 1, id="a second thread is slower"),
        pytest.param({1: 1.0, 2: 0.9}, 8, 1, id="a second thread is hardly faster"),
        pytest.param({1: 8.0, 2: 4.0, 4: 2.0}, 6, 4, id="no more than there are cores"),
        pytest.param({1: 1.0}, 1, 1, id="one core"),
    ],
)
def test_threads_are_doubled_as_long_as_that_pays(by_threads: dict[int, float], most: int, expected: int) -> None:
    timer = Timer(by_threads)

    assert measure_threads(ENGINE, most=most, timer=timer) == expected
    assert timer.asked == list(by_threads)


def test_choice_is_measured_once_and_kept_for_other_processes(tmp_path: Path) -> None:
    timer = Timer({1: 8.0, 2: 4.0, 4: 4.0})

    for _ in range(2):
        torch.set_num_threads(1)
        ThreadChoice(configured=None, most=4, folder=tmp_path, timer=timer).apply(ENGINE, device="cpu")
        assert torch.get_num_threads() == 2

    assert timer.asked == [1, 2, 4]


def test_other_share_of_the_machine_is_measured_anew(tmp_path: Path) -> None:
    timer = Timer({1: 8.0, 2: 4.0, 4: 2.0})

    for most in (4, 2):
        ThreadChoice(configured=None, most=most, folder=tmp_path, timer=timer).apply(ENGINE, device="cpu")

    assert torch.get_num_threads() == 2
    assert timer.asked == [1, 2, 4, 1, 2]


@pytest.mark.parametrize(
    ("configured", "most", "device", "threads"),
    [(3, 8, "cpu", 3), (None, 1, "cpu", 1), (None, 8, "cuda", 1)],
    ids=["configured", "one core for each job", "on a GPU"],
)
def test_where_there_is_nothing_to_choose_nothing_is_measured(
    tmp_path: Path, configured: int | None, most: int, device: str, threads: int
) -> None:
    timer = Timer({})

    ThreadChoice(configured=configured, most=most, folder=tmp_path, timer=timer).apply(ENGINE, device=device)

    assert torch.get_num_threads() == threads
    assert not list(tmp_path.iterdir())


def test_choice_that_cannot_be_kept_or_read_still_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    timer = Timer({1: 8.0, 2: 4.0})
    (tmp_path / "threads.json").mkdir()

    ThreadChoice(configured=None, most=2, folder=tmp_path, timer=timer).apply(ENGINE, device="cpu")

    assert torch.get_num_threads() == 2
    assert "threads_not_kept" in caplog.messages


def test_broken_file_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "threads.json").write_text("{half", encoding="utf-8")

    ThreadChoice(configured=None, most=2, folder=tmp_path, timer=Timer({1: 8.0, 2: 4.0})).apply(ENGINE, device="cpu")

    assert "2" in (tmp_path / "threads.json").read_text(encoding="utf-8")


def test_clock_runs_the_engine_with_the_threads_that_are_tried() -> None:
    seen: list[int] = []

    class Watcher(IdentityEnhancer):
        @property
        def info(self) -> EnhancerInfo:
            seen.append(torch.get_num_threads())
            return super().info

    assert seconds_of(Watcher(sample_rate=16_000), 2) > 0
    assert set(seen) == {2}

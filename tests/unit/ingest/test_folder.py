"""What counts as a recording, when it is complete, and where files may be put."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from core.errors import Conflict, InvalidInput
from tests.unit.ingest.conftest import STABLE_S, Clock, drop, tree
from worker.ingest import placing
from worker.ingest.folder import WatchedFolder
from worker.ingest.lock import watch_lock
from worker.ingest.placing import place
from worker.ingest.stability import EMPTY_STABLE_S, StabilityWindow


def found(folder: WatchedFolder) -> list[str]:
    return [candidate.path.as_posix() for candidate in folder.scan()]


class TestScan:
    @pytest.mark.parametrize(
        "name",
        [
            "talk.wav.part",
            "talk.wav.PARTIAL",
            "talk.tmp",
            "talk.wav.filepart",
            "talk.wav.crdownload",
            "talk.wav~",
            "~talk.wav",
            ".talk.wav",
            "talk.wav.json",
            "limpid.json",
            "Thumbs.db",
            "desktop.ini",
            ".hidden/talk.wav",
            "done/talk.wav",
            "failed/deep/talk.wav",
            ".limpid/claimed/x/files/talk.wav",
        ],
    )
    def test_what_is_no_recording_is_passed_over(self, folder: WatchedFolder, name: str) -> None:
        drop(folder, name)

        assert found(folder) == []

    @pytest.mark.parametrize("name", ["talk.wav", "talk", "a/b/talk.mp3", "a/done/talk.wav", "part.wav", "ä ~ö.ogg"])
    def test_recordings_are_found_at_any_depth(self, folder: WatchedFolder, name: str) -> None:
        drop(folder, name)

        assert found(folder) == [name]

    def test_symbolic_links_are_not_followed(self, folder: WatchedFolder, tmp_path: Path) -> None:
        secret = tmp_path / "secret.wav"
        secret.write_bytes(b"not yours")
        (folder.source / "link.wav").symlink_to(secret)
        (folder.source / "folder").symlink_to(tmp_path)

        assert found(folder) == []

    def test_options_file_belongs_to_its_recording(self, folder: WatchedFolder) -> None:
        drop(folder, "a/talk.wav")
        drop(folder, "a/talk.wav.json", {"preset": "speech"})

        (candidate,) = folder.scan()

        assert candidate.options_path == Path("a/talk.wav.json")

    def test_results_within_the_folder_are_not_ingested_again(self, tmp_path: Path) -> None:
        folder = WatchedFolder(source=tmp_path, results=tmp_path / "results")
        drop(folder, "results/talk.enhanced.wav")
        drop(folder, "talk.wav")

        assert found(folder) == ["talk.wav"]

    @pytest.mark.parametrize("results", [".", ".."])
    def test_results_that_would_come_back_as_recordings_are_refused(self, tmp_path: Path, results: str) -> None:
        with pytest.raises(InvalidInput, match="new recordings"):
            WatchedFolder(source=tmp_path / "in", results=(tmp_path / "in" / results).resolve())

    def test_nearest_folder_options_count(self, folder: WatchedFolder) -> None:
        top = drop(folder, "limpid.json", {})
        near = drop(folder, "a/limpid.json", {})

        assert folder.folder_options(Path("a/b/talk.wav")) == near
        assert folder.folder_options(Path("talk.wav")) == top


class TestStability:
    @pytest.fixture
    def window(self, clock: Clock) -> StabilityWindow:
        return StabilityWindow(stable_s=STABLE_S, clock=clock)

    def complete(self, window: StabilityWindow, folder: WatchedFolder) -> list[str]:
        return [candidate.path.as_posix() for candidate in window.update(folder.scan())]

    def test_file_is_complete_after_the_window(
        self, window: StabilityWindow, folder: WatchedFolder, clock: Clock
    ) -> None:
        drop(folder, "talk.wav")

        assert self.complete(window, folder) == []
        clock.seconds += STABLE_S - 0.1
        assert self.complete(window, folder) == []
        clock.seconds += 0.1
        assert self.complete(window, folder) == ["talk.wav"]

    def test_growth_begins_the_window_anew(self, window: StabilityWindow, folder: WatchedFolder, clock: Clock) -> None:
        for size in range(1, 5):
            drop(folder, "talk.wav", b"x" * size)
            assert self.complete(window, folder) == []
            clock.seconds += STABLE_S - 1

        clock.seconds += 1
        assert self.complete(window, folder) == ["talk.wav"]

    def test_change_of_time_alone_begins_it_anew(
        self, window: StabilityWindow, folder: WatchedFolder, clock: Clock
    ) -> None:
        path = drop(folder, "talk.wav")
        self.complete(window, folder)
        clock.seconds += STABLE_S
        os.utime(path, ns=(0, 1))

        assert self.complete(window, folder) == []

    def test_recording_waits_for_its_options(
        self, window: StabilityWindow, folder: WatchedFolder, clock: Clock
    ) -> None:
        drop(folder, "talk.wav")
        self.complete(window, folder)
        clock.seconds += STABLE_S
        drop(folder, "talk.wav.json", {})

        assert self.complete(window, folder) == []
        clock.seconds += STABLE_S
        assert self.complete(window, folder) == ["talk.wav"]

    def test_old_file_is_watched_as_long_as_a_new_one(
        self, window: StabilityWindow, folder: WatchedFolder, clock: Clock
    ) -> None:
        os.utime(drop(folder, "talk.wav"), (0, 0))

        assert self.complete(window, folder) == []

    def test_empty_file_waits_longer(self, window: StabilityWindow, folder: WatchedFolder, clock: Clock) -> None:
        drop(folder, "talk.wav", b"")
        self.complete(window, folder)
        clock.seconds += EMPTY_STABLE_S - 1

        assert self.complete(window, folder) == []
        clock.seconds += 1
        assert self.complete(window, folder) == ["talk.wav"]

    def test_file_that_went_away_and_came_back_begins_anew(
        self, window: StabilityWindow, folder: WatchedFolder, clock: Clock
    ) -> None:
        path = drop(folder, "talk.wav")
        self.complete(window, folder)
        state = path.stat()
        path.unlink()
        clock.seconds += STABLE_S
        self.complete(window, folder)
        os.utime(drop(folder, "talk.wav"), ns=(state.st_atime_ns, state.st_mtime_ns))

        assert self.complete(window, folder) == []


@pytest.fixture(params=["hard links", "no hard links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one like FAT."""
    if request.param == "no hard links":

        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(placing.os, "link", refuse)


@pytest.mark.usefixtures("file_system")
class TestPlace:
    def test_file_moves(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"1")

        assert place(tmp_path / "a", tmp_path / "deep" / "talk.wav") == tmp_path / "deep" / "talk.wav"

        assert tree(tmp_path) == {"deep/talk.wav": b"1"}

    def test_other_content_is_never_overwritten(self, tmp_path: Path) -> None:
        for number in (b"1", b"2", b"3"):
            (tmp_path / "a").write_bytes(number)
            place(tmp_path / "a", tmp_path / "talk.wav")

        assert tree(tmp_path) == {"talk.wav": b"1", "talk-2.wav": b"2", "talk-3.wav": b"3"}

    def test_same_content_is_placed_once(self, tmp_path: Path) -> None:
        for _ in range(2):
            (tmp_path / "a").write_bytes(b"1")
            assert place(tmp_path / "a", tmp_path / "talk.wav") == tmp_path / "talk.wav"

        assert tree(tmp_path) == {"talk.wav": b"1"}

    def test_folder_of_the_name_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"1")
        (tmp_path / "talk.wav").mkdir()

        assert place(tmp_path / "a", tmp_path / "talk.wav").name == "talk-2.wav"


def test_move_that_a_crash_cut_short_is_completed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    os.link(tmp_path / "a", tmp_path / "talk.wav")

    assert place(tmp_path / "a", tmp_path / "talk.wav") == tmp_path / "talk.wav"

    assert tree(tmp_path) == {"talk.wav": b"1"}


def test_second_watcher_of_a_folder_is_refused(folder: WatchedFolder) -> None:
    with watch_lock(folder.state), pytest.raises(Conflict, match=f"process {os.getpid()} on"), watch_lock(folder.state):
        pass

    with watch_lock(folder.state):
        pass

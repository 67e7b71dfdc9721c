"""A watcher that was killed, or is not alone: no recording is lost, and none is submitted twice."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.unit.ingest.conftest import Clock, FakeService, Killed, drop, run, tree
from worker.ingest.claims import ClaimStore
from worker.ingest.folder import WatchedFolder
from worker.ingest.ingester import Ingester

StartWatcher = Callable[..., Ingester]


class TestRestart:
    @pytest.mark.parametrize("moment", ["submitted", "fetched"])
    def test_killed_watcher_is_continued_without_a_second_job(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService, moment: str
    ) -> None:
        drop(folder, "a/talk.wav")
        drop(folder, "a/talk.wav.json", {"preset": "music"})
        service.results = {"{stem}.enhanced.wav": b"1", "{stem}.residual.wav": b"2"}

        def kill(call: str) -> None:
            if call == moment:
                raise Killed

        service.on_call = kill
        with pytest.raises(Killed):
            run(start(), clock)
        service.on_call = lambda call: None

        run(start(), clock)

        assert list(service.jobs.values()) == ["talk.wav"]
        assert tree(folder.results) == {"a/talk.enhanced.wav": b"1", "a/talk.residual.wav": b"2"}
        assert set(tree(folder.source)) == {"done/a/talk.wav", "done/a/talk.wav.json"}

    def test_watcher_may_be_killed_at_any_write(
        self,
        start: StartWatcher,
        folder: WatchedFolder,
        clock: Clock,
        service: FakeService,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Kill it before its first change of the file system, then before its second, and so on, for every file."""
        kills = KillBeforeWrite(monkeypatch)
        survived = 0
        while True:
            name = f"{survived}.wav"
            drop(folder, name, name)
            drop(folder, f"{name}.json", "{}")
            kills.arm(after=survived)
            try:
                run(start(), clock)
            except Killed:
                kills.disarm()
                run(start(), clock)
                survived += 1
            else:
                break
        kills.disarm()

        names = [f"{number}.wav" for number in range(survived + 1)]
        assert survived > 15
        assert sorted(service.jobs.values()) == sorted(names)
        assert set(tree(folder.results)) == {name.replace(".wav", ".enhanced.wav") for name in names}
        assert set(tree(folder.source)) == {f"done/{file}" for name in names for file in (name, f"{name}.json")}

    def test_options_of_a_submitted_recording_do_not_change_any_more(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "limpid.json", {"preset": "music"})
        drop(folder, "talk.wav")
        service.is_down = True
        run(start(), clock)
        drop(folder, "limpid.json", {"preset": "speech"})
        service.is_down = False

        run(start(), clock)

        assert service.options == [{"preset": "music"}]

    def test_claim_goes_to_one_of_two_watchers(self, folder: WatchedFolder) -> None:
        drop(folder, "talk.wav")
        drop(folder, "talk.wav.json", {})
        (candidate,) = folder.scan()

        claims = [ClaimStore(folder).take(candidate) for _ in range(2)]

        assert [claim is not None for claim in claims] == [True, False]
        assert len(ClaimStore(folder).load()) == 1

    def test_unreadable_record_is_left_for_a_person_and_does_not_stop_the_others(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        service.is_down = True
        for name in ("a.wav", "b.wav"):
            drop(folder, name)
        run(start(), clock)
        first, _ = sorted((folder.state / "claimed").iterdir())
        (first / "record.json").write_text("{", encoding="utf-8")
        service.is_down = False

        run(start(), clock)

        assert set(tree(folder.source)) == {"done/b.wav"}
        assert (first / "files" / "a.wav").is_file()


class KillBeforeWrite:
    """Ends the watcher before the nth call that changes the file system."""

    CALLS = ("link", "rename", "replace", "unlink", "mkdir", "rmdir")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left: int | None = None
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._guarded(getattr(os, name)))

    def arm(self, *, after: int) -> None:
        self._left = after

    def disarm(self) -> None:
        self._left = None

    def _guarded(self, call: Callable[..., object]) -> Callable[..., object]:
        def guarded(*arguments: object, **options: object) -> object:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    raise Killed
            return call(*arguments, **options)

        return guarded

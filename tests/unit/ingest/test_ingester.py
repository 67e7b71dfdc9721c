"""The watcher from a complete file to its place, whatever happens on the way."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.jobs import JobStatus, Problem
from tests.unit.ingest.conftest import NOW, Clock, FakeService, drop, run, tree
from worker.ingest.folder import WatchedFolder
from worker.ingest.ingester import MAX_SUBMISSIONS, Ingester
from worker.ingest.placing import sha256_of

StartWatcher = Callable[..., Ingester]

NOT_AUDIO = Problem(code="unsupported_media", title="This is not audio", detail="notes.txt is text.")


class TestWay:
    def test_recording_comes_out_enhanced_in_the_same_sub_folder(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock
    ) -> None:
        drop(folder, "a/b/talk.wav")
        ingester = start()

        run(ingester, clock)

        assert tree(folder.results) == {"a/b/talk.enhanced.wav": b"enhanced talk.wav"}
        assert tree(folder.source) == {"done/a/b/talk.wav": b"sound"}
        assert (ingester.done, ingester.failed, ingester.is_busy) == (1, 0, False)

    def test_nothing_of_the_claim_is_left(self, start: StartWatcher, folder: WatchedFolder, clock: Clock) -> None:
        drop(folder, "talk.wav")

        run(start(), clock)

        assert not list((folder.state / "claimed").iterdir())
        assert not list(folder.staging.iterdir())

    def test_unfinished_job_is_waited_for(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "talk.wav")
        service.status = JobStatus.RUNNING
        ingester = start()

        run(ingester, clock)

        assert ingester.is_busy
        assert (tree(folder.results), tree(folder.source)) == ({}, {})
        service.status = JobStatus.SUCCEEDED
        run(ingester, clock, steps=1)
        assert not ingester.is_busy

    def test_results_of_equal_names_are_all_kept(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock
    ) -> None:
        drop(folder, "talk.mp3")
        drop(folder, "talk.wav")

        run(start(), clock)

        assert tree(folder.results) == {
            "talk.enhanced.wav": b"enhanced talk.mp3",
            "talk.enhanced-2.wav": b"enhanced talk.wav",
        }

    def test_same_file_put_there_again_is_a_new_job(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        ingester = start()
        for content in (b"sound", b"sound", b"other"):
            drop(folder, "talk.wav", content)
            run(ingester, clock)

        assert len(service.jobs) == 3
        assert tree(folder.source) == {"done/talk.wav": b"sound", "done/talk-2.wav": b"other"}

    def test_server_gets_no_more_than_it_may_have_at_a_time(
        self,
        start: StartWatcher,
        folder: WatchedFolder,
        clock: Clock,
        service: FakeService,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("worker.ingest.ingester.MAX_ACTIVE", 2)
        for number in range(5):
            drop(folder, f"{number}.wav")
        service.status = JobStatus.QUEUED
        ingester = start()

        run(ingester, clock)

        assert len(service.jobs) == 2
        service.status = JobStatus.SUCCEEDED
        run(ingester, clock)
        assert ingester.done == 5

    def test_file_that_grows_while_it_is_claimed_goes_back(
        self,
        start: StartWatcher,
        folder: WatchedFolder,
        clock: Clock,
        service: FakeService,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ingester = start()
        with drop(folder, "talk.wav").open("ab", buffering=0) as late_writer, monkeypatch.context() as patch:

            def hash_too_early(path: Path) -> str:
                late_writer.write(b", and more")
                return sha256_of(path)

            patch.setattr("worker.ingest.ingester.sha256_of", hash_too_early)
            run(ingester, clock, steps=2)

        assert tree(folder.source) == {"talk.wav": b"sound, and more"}
        assert not service.jobs
        run(ingester, clock)
        assert tree(folder.source) == {"done/talk.wav": b"sound, and more"}
        assert len(service.jobs) == 1

    def test_name_that_is_no_utf8_is_no_obstacle(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        Path(os.fsdecode(os.fsencode(folder.source) + b"/t\xe4lk.wav")).write_bytes(b"sound")
        service.status, service.problem = JobStatus.FAILED, NOT_AUDIO

        run(start(), clock)

        assert [os.fsencode(path.name) for path in folder.failed.glob("*.wav")] == [b"t\xe4lk.wav"]
        (reason,) = folder.failed.glob("*.json")
        assert json.loads(reason.read_text(encoding="utf-8"))["code"] == "unsupported_media"

    def test_once_leaves_alone_what_arrives_later(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock
    ) -> None:
        drop(folder, "first.wav")
        ingester = start(is_once=True)
        run(ingester, clock, steps=1)
        drop(folder, "second.wav")

        run(ingester, clock)

        assert not ingester.is_busy
        assert tree(folder.source) == {"done/first.wav": b"sound", "second.wav": b"sound"}


class TestOptions:
    def test_nearer_options_replace_farther_ones_setting_by_setting(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "a/limpid.json", {"preset": "music", "metadata": {"show": 1}})
        drop(folder, "a/talk.wav")
        drop(folder, "a/talk.wav.json", {"metadata": {"episode": 2}})

        run(start(defaults={"lane": "bulk", "preset": "speech"}), clock)

        assert service.options == [{"lane": "bulk", "preset": "music", "metadata": {"episode": 2}}]

    def test_options_file_goes_with_its_recording(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock
    ) -> None:
        drop(folder, "talk.wav")
        drop(folder, "talk.wav.json", "{}")

        run(start(), clock)

        assert tree(folder.source) == {"done/talk.wav": b"sound", "done/talk.wav.json": b"{}"}

    @pytest.mark.parametrize("text", ["{", "[]", "1", '{"a": ' + '"x"' * 30_000 + "}"])
    def test_unreadable_options_fail_their_recording_alone(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, text: str
    ) -> None:
        drop(folder, "good.wav")
        drop(folder, "talk.wav")
        drop(folder, "talk.wav.json", text)

        run(start(), clock)

        assert set(tree(folder.source)) == {
            "done/good.wav",
            "failed/talk.wav",
            "failed/talk.wav.json",
            "failed/talk.wav.reason.json",
        }
        assert json.loads(tree(folder.source)["failed/talk.wav.reason.json"])["code"] == "invalid_options"

    def test_broken_folder_options_hold_the_folder_back_until_they_are_mended(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "a/limpid.json", "{")
        drop(folder, "a/talk.wav")
        ingester = start()

        run(ingester, clock)
        assert (service.jobs, ingester.waiting) == ({}, 1)
        assert ingester.faults > 1
        drop(folder, "a/limpid.json", {"preset": "music"})
        run(ingester, clock)

        assert service.options == [{"preset": "music"}]
        assert (ingester.done, ingester.failed) == (1, 0)


class TestFailure:
    @pytest.mark.parametrize("is_refused", [True, False])
    def test_failed_recording_stands_beside_its_reason(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService, is_refused: bool
    ) -> None:
        drop(folder, "a/notes.txt", "words")
        if is_refused:
            service.refusal = NOT_AUDIO
        else:
            service.status, service.problem = JobStatus.FAILED, NOT_AUDIO
        ingester = start()

        run(ingester, clock)

        files = tree(folder.source)
        assert set(files) == {"failed/a/notes.txt", "failed/a/notes.txt.reason.json"}
        reason = json.loads(files["failed/a/notes.txt.reason.json"])
        assert (reason["recording"], reason["code"], reason["detail"]) == (
            "a/notes.txt",
            "unsupported_media",
            "notes.txt is text.",
        )
        assert reason["job_id"] == (None if is_refused else "job-1")
        assert reason["failed_at"] == NOW.isoformat(timespec="seconds")
        assert (ingester.done, ingester.failed) == (0, 1)

    def test_cancelled_job_fails_its_recording(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "talk.wav")
        service.status = JobStatus.CANCELLED

        run(start(), clock)

        assert json.loads(tree(folder.source)["failed/talk.wav.reason.json"])["code"] == "cancelled"

    def test_empty_file_fails_without_asking_the_server(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "talk.wav", b"")

        run(start(), clock)

        assert not service.jobs
        assert "failed/talk.wav.reason.json" in tree(folder.source)

    def test_failed_recordings_of_one_name_keep_their_own_reasons(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        service.refusal = NOT_AUDIO
        ingester = start()
        for content in (b"1", b"2"):
            drop(folder, "talk.wav", content)
            run(ingester, clock)

        assert set(tree(folder.failed)) == {
            "talk.wav",
            "talk.wav.reason.json",
            "talk-2.wav",
            "talk-2.wav.reason.json",
        }

    def test_failed_file_moved_back_is_tried_again(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "talk.wav")
        service.status = JobStatus.FAILED
        service.problem = NOT_AUDIO
        ingester = start()
        run(ingester, clock)
        service.status = JobStatus.SUCCEEDED

        (folder.failed / "talk.wav").rename(folder.source / "talk.wav")
        run(ingester, clock)

        assert "talk.enhanced.wav" in tree(folder.results)

    def test_job_that_the_server_lost_is_submitted_again(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "talk.wav")
        service.lost = {"job-1"}

        run(start(), clock)

        assert list(service.jobs) == ["job-1", "job-2"]
        assert tree(folder.results) == {"talk.enhanced.wav": b"enhanced talk.wav"}

    def test_server_that_loses_every_job_is_not_asked_for_ever(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "talk.wav")
        service.lost = {f"job-{number}" for number in range(100)}

        run(start(), clock)

        assert len(service.jobs) == MAX_SUBMISSIONS
        assert json.loads(tree(folder.source)["failed/talk.wav.reason.json"])["code"] == "job_lost"


class TestOutage:
    def test_server_that_is_down_fails_nothing(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        for number in range(3):
            drop(folder, f"{number}.wav")
        service.is_down = True
        ingester = start()

        run(ingester, clock)
        assert (ingester.waiting, ingester.failed) == (3, 0)
        assert ingester.faults > 3
        service.is_down = False
        run(ingester, clock)

        assert (ingester.done, ingester.faults) == (3, 0)

    def test_pauses_between_attempts_grow_up_to_a_minute(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "talk.wav")
        service.is_down = True
        ingester = start(stable_s=0)

        run(ingester, clock, steps=600, pause_s=1.0)

        assert 5 + 540 // 60 <= ingester.faults <= 7 + 600 // 60

    def test_claim_that_somebody_removed_is_forgotten(
        self, start: StartWatcher, folder: WatchedFolder, clock: Clock, service: FakeService
    ) -> None:
        drop(folder, "talk.wav")
        service.is_down = True
        ingester = start()
        run(ingester, clock)
        (claimed,) = (folder.state / "claimed").iterdir()
        claimed.rename(folder.state / "taken-away")

        run(ingester, clock, pause_s=60.0)

        assert not ingester.is_busy

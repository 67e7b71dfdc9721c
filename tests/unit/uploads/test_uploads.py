"""Uploads in parts: the contracts on the fakes, SQLite and a folder, and the use cases."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.access.keys import ANYONE, Caller, Scope
from core.errors import Conflict, InputTooLarge, InvalidInput, NotFound, StorageError, UnsupportedMedia
from core.jobs import InputFile
from core.object_keys import input_key
from core.storage import ObjectStore
from core.storage_local import LocalObjectStore
from core.uploads import upload as upload_module
from core.uploads.parts_stored import StoredParts
from core.uploads.services import (
    UploadDesk,
    abort_upload,
    begin_upload,
    complete_upload,
    expire_uploads,
    find_upload,
    taken,
)
from core.uploads.upload import MAX_PARTS, MIB, SMALLEST_PART_BYTES, Upload, UploadStatus
from core.uploads.upload_sql import SqlUploadRepository
from tests.access_fakes import FakeUploadRepository
from tests.contracts.uploads import PartStoreContract, UploadContract, make_upload
from tests.factories import NOON, make_job
from tests.fakes import FakeJobRepository, FakeObjectStore

DATA = b"0123456789" * 10
SHA256 = hashlib.sha256(DATA).hexdigest()
PART_BYTES = 40
LATER = NOON + timedelta(days=2)


class TestFakeUploadRepository(UploadContract):
    """The fake obeys the contract, so that tests on it mean something."""

    @pytest.fixture
    def uploads(self) -> FakeUploadRepository:
        return FakeUploadRepository()


class TestSqliteUploadRepository(UploadContract):
    """The contract on a SQLite file."""

    @pytest.fixture
    def uploads(self, sqlite_engine: Engine) -> SqlUploadRepository:
        return SqlUploadRepository(sqlite_engine)


class TestStoredParts(PartStoreContract):
    """The contract on a folder."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalObjectStore:
        return LocalObjectStore(tmp_path / "objects")

    @pytest.fixture
    def parts(self, store: ObjectStore) -> StoredParts:
        return StoredParts(store)


@pytest.mark.parametrize(
    ("size_bytes", "count"),
    [
        (1, 1),
        (SMALLEST_PART_BYTES, 1),
        (SMALLEST_PART_BYTES + 1, 2),
        (5 * 1024 * MIB, 320),
        (10**12, MAX_PARTS),
        (10**12 + 1, MAX_PARTS),
    ],
)
def test_parts_cover_the_file_without_gap_or_overlap(size_bytes: int, count: int) -> None:
    parts = make_upload(bytes=size_bytes).parts

    assert [part.number for part in parts] == list(range(1, count + 1))
    assert sum(part.bytes for part in parts) == size_bytes
    assert all(a.offset_bytes + a.bytes == b.offset_bytes for a, b in pairwise(parts))
    assert all(part.bytes >= SMALLEST_PART_BYTES for part in parts[:-1])


@pytest.fixture(autouse=True)
def _small_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.cls is not None and request.cls.__name__ == "TestUseCases":
        monkeypatch.setattr(upload_module, "SMALLEST_PART_BYTES", PART_BYTES)


class TestUseCases:
    @pytest.fixture
    def store(self) -> FakeObjectStore:
        return FakeObjectStore()

    @pytest.fixture
    def jobs(self) -> FakeJobRepository:
        return FakeJobRepository()

    @pytest.fixture
    def desk(self, store: FakeObjectStore) -> UploadDesk:
        return UploadDesk(uploads=FakeUploadRepository(), parts=StoredParts(store), store=store)

    def test_complete_upload_is_joined_and_hashed(self, desk: UploadDesk, store: FakeObjectStore) -> None:
        upload = begin(desk)
        send(desk, upload)

        completed = complete_upload(upload, desk=desk)

        assert (completed.status, completed.sha256) == (UploadStatus.COMPLETE, SHA256)
        assert store.objects == {input_key(upload.id): DATA}
        assert complete_upload(completed, desk=desk) == completed

    def test_completing_after_a_crash_between_join_and_record_goes_on(self, desk: UploadDesk) -> None:
        upload = begin(desk)
        send(desk, upload)
        desk.parts.join(upload.key, upload.reference, count=3)

        assert complete_upload(upload, desk=desk).sha256 == SHA256

    def test_missing_parts_are_named_and_can_still_be_sent(self, desk: UploadDesk) -> None:
        upload = begin(desk)
        send(desk, upload, numbers=(2,))

        with pytest.raises(Conflict, match=r"2 parts have not arrived: 1, 3\."):
            complete_upload(upload, desk=desk)
        send(desk, upload, numbers=(1, 3))

        assert complete_upload(upload, desk=desk).status is UploadStatus.COMPLETE

    def test_part_of_another_size_can_be_sent_again(self, desk: UploadDesk) -> None:
        upload = begin(desk)
        send(desk, upload)
        write_part(desk, upload, 2, b"too short")

        with pytest.raises(Conflict, match="Part 2 has 9 bytes instead of 40"):
            complete_upload(upload, desk=desk)
        send(desk, upload)

        assert complete_upload(upload, desk=desk).sha256 == SHA256

    def test_bytes_that_are_not_the_announced_ones_end_the_upload(
        self, desk: UploadDesk, store: FakeObjectStore
    ) -> None:
        upload = begin(desk, sha256="b" * 64)
        send(desk, upload)

        with pytest.raises(InvalidInput, match=SHA256):
            complete_upload(upload, desk=desk)

        assert store.objects == {}
        with pytest.raises(NotFound):
            find_upload(upload.id, desk=desk, caller=ANYONE)

    def test_too_many_bytes_are_refused_at_the_beginning(self, desk: UploadDesk) -> None:
        with pytest.raises(InputTooLarge, match="has 100 bytes; the limit is 99"):
            begin(desk, max_bytes=99)

    def test_aborted_upload_leaves_nothing(self, desk: UploadDesk, store: FakeObjectStore) -> None:
        upload = begin(desk)
        send(desk, upload)

        abort_upload(upload, desk=desk)

        assert store.objects == {}
        with pytest.raises(NotFound):
            find_upload(upload.id, desk=desk, caller=ANYONE)

    def test_upload_is_its_keys(self, desk: UploadDesk) -> None:
        mine, theirs = (Caller(owner=name, scopes=frozenset({Scope.SUBMIT})) for name in "ab")
        upload = begin(desk, caller=mine)

        assert find_upload(upload.id, desk=desk, caller=mine) == upload
        with pytest.raises(NotFound):
            find_upload(upload.id, desk=desk, caller=theirs)

    def test_job_takes_the_recording_and_the_upload_is_done(self, desk: UploadDesk, store: FakeObjectStore) -> None:
        upload = completed(desk)

        with taken(upload, desk=desk) as stored:
            assert stored == InputFile(
                name="talk.wav", key=input_key(upload.id), bytes=100, sha256=SHA256, media_type="audio/wav"
            )
            with pytest.raises(Conflict), taken(upload, desk=desk):
                pass
            with pytest.raises(Conflict):
                abort_upload(upload, desk=desk)

        assert store.objects
        with pytest.raises(NotFound):
            find_upload(upload.id, desk=desk, caller=ANYONE)

    def test_recording_that_is_no_audio_ends_the_upload(self, desk: UploadDesk, store: FakeObjectStore) -> None:
        with pytest.raises(UnsupportedMedia), taken(completed(desk), desk=desk):
            raise UnsupportedMedia

        assert store.objects == {}

    def test_fault_on_our_side_leaves_the_upload_to_be_tried_again(self, desk: UploadDesk) -> None:
        upload = completed(desk)

        with pytest.raises(StorageError), taken(upload, desk=desk):
            raise StorageError

        with taken(upload, desk=desk) as stored:
            assert stored.sha256 == SHA256

    def test_unused_uploads_expire(self, desk: UploadDesk, store: FakeObjectStore, jobs: FakeJobRepository) -> None:
        half = begin(desk)
        send(desk, half, numbers=(1,))
        completed(desk)

        assert expire_uploads(desk, jobs=jobs, now=NOON) == 0
        assert expire_uploads(desk, jobs=jobs, now=LATER) == 2
        assert store.objects == {}
        assert expire_uploads(desk, jobs=jobs, now=LATER) == 0

    def test_what_a_job_has_taken_is_never_removed(
        self, desk: UploadDesk, store: FakeObjectStore, jobs: FakeJobRepository
    ) -> None:
        upload = completed(desk)
        desk.uploads.move(upload.id, before=[UploadStatus.COMPLETE], after=UploadStatus.TAKEN)
        jobs.add(make_job(id=upload.id))

        assert expire_uploads(desk, jobs=jobs, now=LATER) == 0
        assert input_key(upload.id) in store.objects
        assert desk.uploads.list_expired(now=LATER) == []

    def test_what_was_taken_for_a_job_that_never_came_expires(
        self, desk: UploadDesk, store: FakeObjectStore, jobs: FakeJobRepository
    ) -> None:
        upload = completed(desk)
        desk.uploads.move(upload.id, before=[UploadStatus.COMPLETE], after=UploadStatus.TAKEN)

        assert expire_uploads(desk, jobs=jobs, now=LATER) == 1
        assert store.objects == {}

    def test_store_that_is_down_only_delays_the_removal(
        self, desk: UploadDesk, store: FakeObjectStore, jobs: FakeJobRepository
    ) -> None:
        upload = completed(desk)
        store.is_down = True

        abort_upload(upload, desk=desk)
        assert expire_uploads(desk, jobs=jobs, now=NOON) == 0
        store.is_down = False

        assert expire_uploads(desk, jobs=jobs, now=NOON) == 1
        assert store.objects == {}


def begin(desk: UploadDesk, *, sha256: str | None = None, max_bytes: int = 1000, caller: Caller = ANYONE) -> Upload:
    return begin_upload(
        desk,
        name="talk.wav",
        media_type="audio/wav",
        size_bytes=len(DATA),
        sha256=sha256,
        max_bytes=max_bytes,
        lifetime_s=86_400,
        caller=caller,
        now=NOON,
    )


def send(desk: UploadDesk, upload: Upload, *, numbers: tuple[int, ...] = (1, 2, 3)) -> None:
    for number in numbers:
        part = upload.parts[number - 1]
        write_part(desk, upload, number, DATA[part.offset_bytes : part.offset_bytes + part.bytes])


def write_part(desk: UploadDesk, upload: Upload, number: int, data: bytes) -> None:
    with desk.parts.open_part(upload.key, upload.reference, number) as writer:
        writer.write(data)
        writer.commit()


def completed(desk: UploadDesk) -> Upload:
    upload = begin(desk)
    send(desk, upload)
    return complete_upload(upload, desk=desk)


def test_parts_are_counted_from_what_is_announced() -> None:
    assert replace(make_upload(), bytes=1).parts[0].bytes == 1

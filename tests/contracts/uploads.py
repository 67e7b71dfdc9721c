"""What every UploadRepository and every PartStore must do."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import httpx
import pytest

from core.errors import Conflict, NotFound
from core.ids import new_id
from core.object_keys import input_key
from core.storage import ObjectStore
from core.uploads.upload import PartStore, Upload, UploadRepository, UploadStatus
from tests.contracts.repository import THREADS, after, outcomes_of
from tests.factories import NOON
from tests.fixed_ids import UNKNOWN_ID

OPEN, COMPLETE, TAKEN, ENDED = UploadStatus
SHA256 = "a" * 64


def make_upload(**changes: Any) -> Upload:  # noqa: ANN401 - any field of Upload
    """An open upload of 100 bytes, with `changes`."""
    values = {
        "id": new_id(),
        "owner": None,
        "name": "talk.wav",
        "media_type": "audio/wav",
        "bytes": 100,
        "reference": "r",
        "created_at": NOON,
        "expires_at": NOON + timedelta(days=1),
        **changes,
    }
    return Upload(**values)


class UploadContract:
    """The repository's rules, one behaviour each; the fixture `uploads` is the subclass's."""

    def test_a_stored_upload_comes_back_as_it_was(self, uploads: UploadRepository) -> None:
        upload = make_upload(owner=new_id(), name="tälk.wav", sha256=SHA256, bytes=2**40)

        uploads.add(upload)

        assert uploads.get(upload.id) == upload

    @pytest.mark.parametrize("upload_id", [UNKNOWN_ID, "", "x"])
    def test_an_unknown_upload_is_not_found(self, uploads: UploadRepository, upload_id: str) -> None:
        with pytest.raises(NotFound):
            uploads.get(upload_id)
        with pytest.raises(NotFound):
            uploads.move(upload_id, before=[OPEN], after=COMPLETE)
        uploads.remove(upload_id)

    def test_a_move_needs_the_status_that_it_starts_from(self, uploads: UploadRepository) -> None:
        upload = make_upload()
        uploads.add(upload)

        with pytest.raises(Conflict, match="open"):
            uploads.move(upload.id, before=[COMPLETE, TAKEN], after=ENDED)
        completed = uploads.move(upload.id, before=[OPEN, ENDED], after=COMPLETE, sha256=SHA256)
        taken = uploads.move(upload.id, before=[COMPLETE], after=TAKEN)

        assert (completed.status, completed.sha256) == (COMPLETE, SHA256)
        assert (taken.status, taken.sha256) == (TAKEN, SHA256)
        assert uploads.get(upload.id) == taken

    def test_one_of_many_takes_an_upload(self, uploads: UploadRepository) -> None:
        upload = make_upload(status=COMPLETE)
        uploads.add(upload)

        outcomes = outcomes_of([lambda: uploads.move(upload.id, before=[COMPLETE], after=TAKEN)] * THREADS)

        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == THREADS - 1

    def test_what_is_too_old_or_has_ended_is_listed(self, uploads: UploadRepository) -> None:
        old = make_upload(expires_at=after(10))
        ended = make_upload(status=ENDED, expires_at=after(5000))
        for upload in (ended, make_upload(expires_at=after(5001)), old):
            uploads.add(upload)

        assert uploads.list_expired(now=after(10)) == [old, ended]
        assert uploads.list_expired(now=after(10), limit=1) == [old]

    def test_a_removed_upload_is_not_found(self, uploads: UploadRepository) -> None:
        upload = make_upload()
        uploads.add(upload)

        uploads.remove(upload.id)

        with pytest.raises(NotFound):
            uploads.get(upload.id)


class PartStoreContract:
    """The part store's rules; the fixtures `parts` and `store`, the same place, are the subclass's."""

    PARTS = (random.Random(1).randbytes(5 * 1024**2), random.Random(2).randbytes(5 * 1024**2), b"the end")
    """S3 wants at least 5 MiB of all parts but the last."""

    @pytest.fixture
    def key(self) -> str:
        return input_key(new_id())

    def test_parts_in_any_order_become_the_object(self, parts: PartStore, store: ObjectStore, key: str) -> None:
        reference = parts.begin(key, media_type="audio/wav")
        for number in (3, 1, 2):
            self._send(parts, key, reference, number, self.PARTS[number - 1])

        assert parts.sizes(key, reference, count=3) == {1: len(self.PARTS[0]), 2: len(self.PARTS[1]), 3: 7}
        parts.join(key, reference, count=3)

        with store.open_reader(key) as whole:
            assert whole.read() == b"".join(self.PARTS)
        assert store.delete_prefix(key) == 1

    def test_a_part_sent_again_replaces_the_first(self, parts: PartStore, store: ObjectStore, key: str) -> None:
        reference = parts.begin(key, media_type="audio/wav")
        self._send(parts, key, reference, 1, b"wrong")
        self._send(parts, key, reference, 1, b"right!")

        assert parts.sizes(key, reference, count=2) == {1: 6}
        parts.join(key, reference, count=1)

        with store.open_reader(key) as whole:
            assert whole.read() == b"right!"

    def test_a_part_may_come_through_us(self, parts: PartStore, store: ObjectStore, key: str) -> None:
        reference = parts.begin(key, media_type="audio/wav")
        _send_through_us(parts, key, reference, 1, b"wrong")
        _send_through_us(parts, key, reference, 1, b"right!")
        parts.join(key, reference, count=1)

        with store.open_reader(key) as whole:
            assert whole.read() == b"right!"

    def test_aborting_leaves_nothing_and_may_be_repeated(self, parts: PartStore, store: ObjectStore, key: str) -> None:
        reference = parts.begin(key, media_type="audio/wav")
        self._send(parts, key, reference, 1, b"half")

        parts.abort(key, reference)
        parts.abort(key, reference)

        with pytest.raises(NotFound):
            store.open_reader(key)
        assert store.delete_prefix(key) == 0

    @staticmethod
    def _send(parts: PartStore, key: str, reference: str, number: int, data: bytes) -> None:
        """As a client does: by the URL, or where there is none through us."""
        url = parts.part_url(key, reference, number, expires_s=60)
        if url is None:
            _send_through_us(parts, key, reference, number, data)
        else:
            assert httpx.put(url, content=data).is_success


def _send_through_us(parts: PartStore, key: str, reference: str, number: int, data: bytes) -> None:
    with parts.open_part(key, reference, number) as writer:
        writer.write(data)
        writer.commit()

"""What every ObjectStore must do: run against the fake, a folder and a real S3 server."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pytest

from core.errors import NotFound
from core.storage import ObjectStore

KEY = "jobs/0199aaaa/input"
MEDIA_TYPE = "audio/wav"
PART_BYTES = 8 * 1024**2
LARGE_BYTES = 2 * PART_BYTES + 12_345  # three parts


def put(store: ObjectStore, key: str, data: bytes) -> None:
    """Write one object whole."""
    with store.open_writer(key, media_type=MEDIA_TYPE) as writer:
        writer.write(data)
        writer.commit()


def read(store: ObjectStore, key: str) -> bytes:
    """Read one object whole."""
    with store.open_reader(key) as reader:
        return reader.read()


class ObjectStoreContract:
    """The rules, one behaviour each; the fixture `store` is the subclass's."""

    def test_what_is_written_is_read(self, store: ObjectStore) -> None:
        put(store, KEY, b"sound")

        assert read(store, KEY) == b"sound"

    def test_an_object_may_be_empty(self, store: ObjectStore) -> None:
        put(store, KEY, b"")

        assert read(store, KEY) == b""

    def test_a_second_write_replaces_the_first(self, store: ObjectStore) -> None:
        put(store, KEY, b"first, and longer")
        put(store, KEY, b"second")

        assert read(store, KEY) == b"second"

    def test_many_parts_arrive_in_order(self, store: ObjectStore) -> None:
        data = random.Random(1).randbytes(LARGE_BYTES)

        with store.open_writer(KEY, media_type=MEDIA_TYPE) as writer:
            for start in range(0, len(data), 3_000_001):
                writer.write(data[start : start + 3_000_001])
            writer.commit()

        assert hashlib.sha256(read(store, KEY)).digest() == hashlib.sha256(data).digest()

    def test_a_write_of_exactly_one_part_is_kept(self, store: ObjectStore) -> None:
        put(store, KEY, bytes(PART_BYTES))

        assert len(read(store, KEY)) == PART_BYTES

    @pytest.mark.parametrize("size_bytes", [10, LARGE_BYTES])
    def test_nothing_is_seen_before_commit_nor_left_without_it(self, store: ObjectStore, size_bytes: int) -> None:
        with store.open_writer(KEY, media_type=MEDIA_TYPE) as writer:
            writer.write(bytes(size_bytes))

            with pytest.raises(NotFound):
                store.open_reader(KEY)

        with pytest.raises(NotFound):
            store.open_reader(KEY)
        assert store.delete_prefix("jobs/") == 0

    def test_an_error_in_the_middle_leaves_nothing(self, store: ObjectStore) -> None:
        def receive() -> None:
            with store.open_writer(KEY, media_type=MEDIA_TYPE) as writer:
                writer.write(bytes(LARGE_BYTES))
                raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            receive()

        with pytest.raises(NotFound):
            store.open_reader(KEY)

    def test_a_reader_seeks_and_reads_any_range(self, store: ObjectStore) -> None:
        data = random.Random(2).randbytes(3_000_000)
        put(store, KEY, data)

        with store.open_reader(KEY) as reader:
            assert reader.seekable()
            assert reader.seek(0, io.SEEK_END) == len(data)
            assert reader.read() == b""
            reader.seek(2_999_990)
            assert reader.read(100) == data[2_999_990:]
            reader.seek(1_000_000)
            assert reader.read(500_000) == data[1_000_000:1_500_000]
            reader.seek(-500_010, io.SEEK_CUR)
            assert reader.read(4) == data[999_990:999_994]
            assert reader.tell() == 999_994

    def test_files_go_in_and_come_out_unchanged(self, store: ObjectStore, tmp_path: Path) -> None:
        source, copy = tmp_path / "source", tmp_path / "copy"
        source.write_bytes(random.Random(3).randbytes(LARGE_BYTES))

        store.upload(source, KEY, media_type=MEDIA_TYPE)
        store.download(KEY, copy)

        assert copy.read_bytes() == source.read_bytes()

    def test_an_empty_file_goes_in_and_comes_out(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "source").touch()

        store.upload(tmp_path / "source", KEY, media_type=MEDIA_TYPE)
        store.download(KEY, tmp_path / "copy")

        assert (tmp_path / "copy").read_bytes() == b""

    @pytest.mark.parametrize("size_bytes", [0, 10, LARGE_BYTES])
    def test_a_copy_outlives_its_original(self, store: ObjectStore, size_bytes: int) -> None:
        data = random.Random(4).randbytes(size_bytes)
        put(store, KEY, data)

        store.copy(KEY, "jobs/0199bbbb/input", media_type=MEDIA_TYPE)
        store.delete_prefix("jobs/0199aaaa/")

        assert read(store, "jobs/0199bbbb/input") == data

    def test_what_is_not_there_is_not_copied(self, store: ObjectStore) -> None:
        with pytest.raises(NotFound):
            store.copy(KEY, "jobs/0199bbbb/input", media_type=MEDIA_TYPE)

        assert store.delete_prefix("jobs/") == 0

    def test_what_is_not_there_is_not_found(self, store: ObjectStore, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            store.open_reader(KEY)
        with pytest.raises(NotFound):
            store.download(KEY, tmp_path / "copy")

    def test_deleting_a_prefix_leaves_its_neighbours(self, store: ObjectStore) -> None:
        for key in ("jobs/a/1/00", "jobs/a/1/01", "jobs/a/10/00", "jobs/ab/1/00", "jobs/a/input"):
            put(store, key, b"x")

        assert store.delete_prefix("jobs/a/1/") == 2
        assert store.delete_prefix("jobs/a/1/") == 0
        assert store.delete_prefix("jobs/a/") == 2
        assert read(store, "jobs/ab/1/00") == b"x"
        assert store.delete_prefix("jobs/a") == 1

    def test_check_is_silent_when_the_store_answers(self, store: ObjectStore) -> None:
        store.check()

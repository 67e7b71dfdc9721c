"""The object store's contract on the fake and on a folder, and what is the folder's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import StorageError
from core.storage_local import LocalObjectStore
from tests.contracts.object_store import KEY, MEDIA_TYPE, ObjectStoreContract, put
from tests.fakes import FakeObjectStore


class TestFakeObjectStore(ObjectStoreContract):
    """The fake obeys the contract, so that tests on it mean something."""

    @pytest.fixture
    def store(self) -> FakeObjectStore:
        """An empty fake."""
        return FakeObjectStore()


class TestLocalObjectStore(ObjectStoreContract):
    """The contract on a folder that does not exist yet."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalObjectStore:
        """An empty store."""
        return LocalObjectStore(tmp_path / "data" / "objects")

    @pytest.mark.parametrize(
        "key",
        ["", "/etc/passwd", "../x", "jobs/../../x", "jobs//x", "jobs/.x", ".incoming/x", "a\\b", "a\nb", "ä", "a/"],
    )
    def test_a_key_that_could_leave_the_folder_is_refused(self, store: LocalObjectStore, key: str) -> None:
        with pytest.raises(ValueError, match="Not an object key"):
            store.open_writer(key, media_type=MEDIA_TYPE)
        with pytest.raises(ValueError, match="Not an object key"):
            store.open_reader(key)

    @pytest.mark.parametrize("prefix", ["", "/", ".", "../", "jobs/../"])
    def test_a_prefix_that_could_leave_the_folder_is_refused(self, store: LocalObjectStore, prefix: str) -> None:
        with pytest.raises(ValueError, match="Not an object key"):
            store.delete_prefix(prefix)

    def test_folders_that_become_empty_go_too(self, store: LocalObjectStore, tmp_path: Path) -> None:
        put(store, KEY, b"x")
        put(store, "jobs/other/1/00", b"x")

        store.delete_prefix("jobs/other/")

        left = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "data" / "objects" / "jobs").rglob("*")}
        assert left == {"data/objects/jobs/0199aaaa", "data/objects/jobs/0199aaaa/input"}

    def test_an_abandoned_write_leaves_no_file(self, store: LocalObjectStore, tmp_path: Path) -> None:
        with store.open_writer(KEY, media_type=MEDIA_TYPE) as writer:
            writer.write(b"x")

        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_there_are_no_urls(self, store: LocalObjectStore) -> None:
        assert store.presign_get(KEY, file_name="a.wav", media_type=MEDIA_TYPE, expires_s=60) is None

    def test_a_folder_that_cannot_be_made_is_a_storage_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        store = LocalObjectStore(tmp_path / "file" / "objects")

        with pytest.raises(StorageError):
            store.check()
        with pytest.raises(StorageError):
            store.open_writer(KEY, media_type=MEDIA_TYPE)

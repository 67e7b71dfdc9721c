"""The object store's contract on a real S3 server, and what is S3's own: signatures, buckets, public addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from core.errors import StorageError
from core.storage_s3 import S3ObjectStore
from tests.contracts.object_store import KEY, LARGE_BYTES, MEDIA_TYPE, ObjectStoreContract, put
from tests.servers import S3Account, free_port


def make_store(account: S3Account, bucket: str, **changes: str) -> S3ObjectStore:
    """A store on `bucket`."""
    arguments = {
        "endpoint": account.endpoint,
        "access_key": account.access_key,
        "secret_key": account.secret_key,
        **changes,
    }
    return S3ObjectStore(bucket, **arguments)


@pytest.fixture
def bucket() -> str:
    """A name that no bucket has yet."""
    return f"limpid-test-{uuid4().hex}"


@pytest.fixture
def store(s3_account: S3Account, bucket: str) -> Iterator[S3ObjectStore]:
    """An empty bucket."""
    made = make_store(s3_account, bucket)
    made.ensure_bucket()
    yield made
    made.delete_prefix("jobs")
    made._client.delete_bucket(Bucket=bucket)


class TestS3ObjectStore(ObjectStoreContract):
    """The contract on S3."""

    def test_an_abandoned_upload_leaves_no_parts_behind(self, store: S3ObjectStore, bucket: str) -> None:
        with store.open_writer(KEY, media_type=MEDIA_TYPE) as writer:
            writer.write(bytes(LARGE_BYTES))

        assert not store._client.list_multipart_uploads(Bucket=bucket).get("Uploads")

    def test_a_presigned_url_downloads_under_the_users_name(self, store: S3ObjectStore) -> None:
        put(store, KEY, b"sound")

        url = store.presign_get(KEY, file_name="größe.wav", media_type="audio/wav", expires_s=60)

        assert url is not None
        answer = httpx.get(url)
        assert answer.content == b"sound"
        assert answer.headers["content-type"] == "audio/wav"
        assert "filename*=UTF-8''gr%C3%B6%C3%9Fe.wav" in answer.headers["content-disposition"]
        assert httpx.get(url, headers={"Range": "bytes=1-2"}).content == b"ou"

    def test_a_tampered_url_is_refused(self, store: S3ObjectStore) -> None:
        put(store, KEY, b"sound")
        url = store.presign_get(KEY, file_name="a.wav", media_type=MEDIA_TYPE, expires_s=60)
        assert url is not None

        assert httpx.get(url.replace("a.wav", "b.wav")).status_code == 403

    def test_urls_are_made_for_the_address_that_clients_see(self, s3_account: S3Account, bucket: str) -> None:
        store = make_store(s3_account, bucket, public_endpoint="https://files.example.org")

        url = store.presign_get(KEY, file_name="a.wav", media_type=MEDIA_TYPE, expires_s=60)

        assert url is not None
        assert url.startswith(f"https://files.example.org/{bucket}/{KEY}?")

    def test_the_media_type_is_kept(self, store: S3ObjectStore, bucket: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        put(store, KEY, b"x")
        store.upload(tmp_path / "file", f"{KEY}2", media_type="audio/flac")

        assert store._client.head_object(Bucket=bucket, Key=KEY)["ContentType"] == MEDIA_TYPE
        assert store._client.head_object(Bucket=bucket, Key=f"{KEY}2")["ContentType"] == "audio/flac"

    def test_a_bucket_that_is_there_already_is_fine(self, store: S3ObjectStore) -> None:
        store.ensure_bucket()

    def test_a_missing_bucket_is_a_storage_error(self, s3_account: S3Account, bucket: str) -> None:
        with pytest.raises(StorageError, match="no such bucket"):
            make_store(s3_account, bucket).check()

    def test_a_wrong_secret_is_a_storage_error(self, s3_account: S3Account, bucket: str) -> None:
        store = make_store(s3_account, bucket, secret_key="wrong")

        with pytest.raises(StorageError):
            store.check()
        with pytest.raises(StorageError):
            store.ensure_bucket()
        with pytest.raises(StorageError):
            put(store, KEY, b"x")

    def test_a_server_that_does_not_answer_is_a_storage_error(self, s3_account: S3Account, bucket: str) -> None:
        store = make_store(s3_account, bucket, endpoint=f"http://127.0.0.1:{free_port()}")

        with pytest.raises(StorageError, match="did not answer"):
            store.check()

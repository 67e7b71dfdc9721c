"""Uploads in parts on a real S3 server: clients send them by presigned URLs."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from core.errors import StorageError
from core.storage_s3 import S3ObjectStore
from core.storage_s3_parts import S3Parts
from tests.contracts.uploads import PartStoreContract
from tests.integration.test_s3_object_store import make_store
from tests.servers import S3Account


class TestS3Parts(PartStoreContract):
    """The contract on S3."""

    @pytest.fixture
    def store(self, s3_account: S3Account) -> Iterator[S3ObjectStore]:
        """An empty bucket."""
        bucket = f"limpid-test-{uuid4().hex}"
        made = make_store(s3_account, bucket)
        made.ensure_bucket()
        yield made
        made.delete_prefix("jobs")
        made._client.delete_bucket(Bucket=bucket)

    @pytest.fixture
    def parts(self, store: S3ObjectStore) -> S3Parts:
        return store.parts()

    def test_a_url_is_for_its_part_alone(self, parts: S3Parts, key: str) -> None:
        reference = parts.begin(key, media_type="audio/wav")
        url = parts.part_url(key, reference, 1, expires_s=60)
        assert url is not None

        assert httpx.put(url.replace("partNumber=1", "partNumber=2"), content=b"x").status_code == 403
        assert httpx.get(url).status_code == 403
        parts.abort(key, reference)

    def test_an_upload_that_is_not_there_cannot_be_joined(self, parts: S3Parts, key: str) -> None:
        with pytest.raises(StorageError):
            parts.join(key, "no-such-upload", count=1)

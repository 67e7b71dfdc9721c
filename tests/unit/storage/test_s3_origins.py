"""Which pages a bucket lets use presigned URLs, against a stubbed server."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from core.errors import StorageError
from core.settings import Settings
from core.storage_s3 import S3ObjectStore

ORIGIN = "https://audio.example.com"


@pytest.fixture(scope="module")
def store() -> S3ObjectStore:
    """One for all tests: the client takes most of a second to make, and each test stubs its server anew."""
    return S3ObjectStore("limpid", endpoint="http://127.0.0.1:1", access_key="key", secret_key="secret")


def expected_rule() -> dict[str, Any]:
    return {
        "AllowedOrigins": [ORIGIN],
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Range", "Content-Length", "Accept-Ranges"],
        "MaxAgeSeconds": ANY,
    }


def test_the_bucket_is_told_which_origins_may_read_and_send_parts(store: S3ObjectStore) -> None:
    with Stubber(store._client) as server:
        wanted = {"Bucket": "limpid", "CORSConfiguration": {"CORSRules": [expected_rule()]}}
        server.add_response("put_bucket_cors", {}, wanted)

        assert store.allow_origins([ORIGIN])
        server.assert_no_pending_responses()


def test_a_server_without_cors_is_passed_over_with_a_warning(
    store: S3ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    with Stubber(store._client) as server:
        server.add_client_error("put_bucket_cors", "NotImplemented", http_status_code=501)

        assert not store.allow_origins([ORIGIN])

    assert "cors_not_set" in caplog.text


def test_a_refusal_is_an_error(store: S3ObjectStore) -> None:
    with Stubber(store._client) as server:
        server.add_client_error("put_bucket_cors", "AccessDenied", http_status_code=403)

        with pytest.raises(StorageError, match="AccessDenied"):
            store.allow_origins([ORIGIN])


def test_origins_are_given_as_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMPID_S3_CORS_ORIGINS", f"{ORIGIN}/, http://localhost:8000")

    assert Settings(_env_file=None).s3_cors_origins == (ORIGIN, "http://localhost:8000")

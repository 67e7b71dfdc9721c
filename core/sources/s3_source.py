"""The ObjectSource on S3: any bucket that the configured credentials may read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from core.errors import FetchFailed, InputTooLarge, StorageError
from core.sources.location import Location
from core.sources.source import SourceObject

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BLOCK_BYTES = 256 * 1024

# What does not pass by itself: the operator's credentials, or the object, are not what the request takes them for.
_FINAL = frozenset({"403", "404", "AccessDenied", "InvalidBucketName", "NoSuchBucket", "NoSuchKey", "NotFound"})


class S3Source:
    """Reads objects of other buckets than Limpid's own, or other prefixes of it."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def list(self, location: Location) -> Iterator[SourceObject]:
        """Every object whose key begins like the location's, in the order of the keys, page by page."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.prefix)
        with _answered(location):
            for page in pages:
                for item in page.get("Contents", []):
                    yield SourceObject(
                        location=Location(bucket=location.bucket, prefix=item["Key"]), bytes=item["Size"]
                    )

    def fetch(self, location: Location, write: Callable[[bytes], object], *, max_bytes: int) -> int:
        """Hand the object's bytes to `write`, block by block; how many."""
        received = 0
        with _answered(location):
            answer = self._client.get_object(Bucket=location.bucket, Key=location.prefix)
            for block in answer["Body"].iter_chunks(BLOCK_BYTES):
                received += len(block)
                if received > max_bytes:
                    raise InputTooLarge(f"{location.url} is larger than the limit of {max_bytes} bytes.")
                write(block)
        return received


@contextmanager
def _answered(location: Location) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in _FINAL:
            raise FetchFailed(f"{location.url} cannot be read: {code}.") from error
        raise StorageError(f"The object store refused: {code}.") from error
    except BotoCoreError as error:
        raise StorageError("The object store did not answer.") from error

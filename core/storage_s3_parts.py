"""Parts of an upload as a multipart upload of S3: clients send them straight to the store, by presigned URLs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from botocore.exceptions import BotoCoreError, ClientError

from core.errors import StorageError
from core.object_keys import checked_key
from core.storage import ObjectWriter

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_NO_SUCH_UPLOAD = frozenset({"NoSuchUpload", "404", "NotFound", "NoSuchKey"})


class _PartWriter:
    """An ObjectWriter of one part."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._buffer = bytearray()

    def write(self, data: bytes) -> None:
        self._buffer += data

    def commit(self) -> None:
        self._send(bytes(self._buffer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._buffer.clear()


class S3Parts:
    """A PartStore in one bucket. `public_client` signs URLs for the address at which clients reach the server."""

    def __init__(self, client: S3Client, public_client: S3Client, bucket: str) -> None:
        self._client, self._public_client, self._bucket = client, public_client, bucket

    def begin(self, key: str, *, media_type: str) -> str:
        """Create the multipart upload; its UploadId."""
        with _answered():
            begun = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=checked_key(key), ContentType=media_type
            )
        return begun["UploadId"]

    def part_url(self, key: str, reference: str, number: int, *, expires_s: int) -> str | None:
        """A URL for PUT, without a key of ours."""
        with _answered():
            return self._public_client.generate_presigned_url(
                "upload_part",
                Params={"Bucket": self._bucket, "Key": key, "UploadId": reference, "PartNumber": number},
                ExpiresIn=expires_s,
            )

    def open_part(self, key: str, reference: str, number: int) -> ObjectWriter:
        """For clients that cannot reach the store. The part is held until it is whole: S3 wants its size first."""

        def send(data: bytes) -> None:
            with _answered():
                self._client.upload_part(
                    Bucket=self._bucket, Key=checked_key(key), UploadId=reference, PartNumber=number, Body=data
                )

        return _PartWriter(send)

    def sizes(self, key: str, reference: str, *, count: int) -> Mapping[int, int]:
        """Bytes of the parts that have arrived."""
        return {number: size for number, size, _ in self._list(key, reference) if number <= count}

    def join(self, key: str, reference: str, *, count: int) -> None:
        """Complete the multipart upload."""
        parts = [
            {"PartNumber": number, "ETag": etag} for number, _, etag in self._list(key, reference) if number <= count
        ]
        with _answered():
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=reference, MultipartUpload={"Parts": cast(Any, parts)}
            )

    def abort(self, key: str, reference: str) -> None:
        """Abort the multipart upload, unless it has ended."""
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=reference)
        except ClientError as error:
            if _code(error) not in _NO_SUCH_UPLOAD:
                raise StorageError(f"The object store refused: {_code(error)}.") from error
        except BotoCoreError as error:
            raise StorageError("The object store did not answer.") from error

    def _list(self, key: str, reference: str) -> list[tuple[int, int, str]]:
        found = []
        with _answered():
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=reference)
            for page in pages:
                found += [(part["PartNumber"], part["Size"], part["ETag"]) for part in page.get("Parts", [])]
        return sorted(found)


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise StorageError(f"The object store refused: {_code(error)}.") from error
    except BotoCoreError as error:
        raise StorageError("The object store did not answer.") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))

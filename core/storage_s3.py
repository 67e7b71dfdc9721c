"""The ObjectStore on S3, by boto3: AWS, SeaweedFS, and whatever else speaks its protocol.

Path-style addresses, SigV4, and no checksums beyond what every server knows. Nothing is held beyond one part of 8 MiB.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.errors import NotFound, StorageError
from core.file_names import content_disposition
from core.object_keys import checked_key, checked_prefix
from core.sources.s3_source import S3Source
from core.storage_s3_parts import S3Parts

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PART_BYTES = 8 * 1024**2  # S3 allows 10,000 parts: objects up to 78 GiB
COPY_PART_BYTES = 1024**3  # S3 copies 5 GiB at once, and answers when it has
READ_AHEAD_BYTES = 1024**2
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
CORS_MAX_AGE_S = 3600  # a browser asks again after this
ATTEMPTS = 4  # of each request, with botocore's back-off between them

logger = logging.getLogger(__name__)

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_ALREADY_THERE = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
_NOT_OFFERED = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405"})


class S3ObjectWriter:
    """One PUT for what fits in a part, else a multipart upload, which is aborted unless it is committed."""

    def __init__(self, client: S3Client, bucket: str, key: str, *, media_type: str) -> None:
        self._client, self._bucket, self._key, self._media_type = client, bucket, key, media_type
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._etags: list[str] = []

    def write(self, data: bytes) -> None:
        """Append; whole parts are sent at once."""
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            self._send_part(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]

    def commit(self) -> None:
        """Make the object visible, whole."""
        if self._upload_id is None:
            with _answered():
                self._client.put_object(
                    Bucket=self._bucket, Key=self._key, Body=bytes(self._buffer), ContentType=self._media_type
                )
            return
        if self._buffer:
            self._send_part(bytes(self._buffer))
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._etags, start=1)]
        with _answered():
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload_id,
                MultipartUpload={"Parts": cast(Any, parts)},
            )
        self._upload_id = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._upload_id is not None:
            try:
                with _answered():
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._upload_id)
            except StorageError:
                # What led here matters more to the caller; the parts are left to the bucket's lifecycle rule.
                logger.warning("multipart_upload_not_aborted", extra={"key": self._key}, exc_info=True)

    def _send_part(self, data: bytes) -> None:
        with _answered():
            if self._upload_id is None:
                started = self._client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._key, ContentType=self._media_type
                )
                self._upload_id = started["UploadId"]
            part = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload_id,
                PartNumber=len(self._etags) + 1,
                Body=data,
            )
            self._etags.append(part["ETag"])


class _RangeReader(io.RawIOBase):
    """A seekable view of an object: each read is one ranged GET."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        super().__init__()
        self._client, self._bucket, self._key = client, bucket, key
        self._position = 0
        with _answered():
            self._bytes = client.head_object(Bucket=bucket, Key=key)["ContentLength"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"Cannot seek to {start + offset}, before the object's start.")
        self._position = start + offset
        return self._position

    def readall(self) -> bytes:
        # Inherited, this would be one request for every 8 KiB.
        data = bytearray(max(0, self._bytes - self._position))
        del data[self.readinto(data) :]
        return bytes(data)

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - a writable buffer, which has no type in Python 3.11
        wanted = min(len(buffer), self._bytes - self._position)
        if wanted <= 0:
            return 0
        last = self._position + wanted - 1
        with _answered():
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key, Range=f"bytes={self._position}-{last}")
            data = answer["Body"].read()
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


class S3ObjectStore:
    """Objects in one bucket.

    `public_endpoint` is the address at which clients reach the server: a presigned URL signs its host, so it is made by
    a client of its own. Credentials of None leave the search for them to boto3 (environment, instance role).
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str,
        public_endpoint: str | None = None,
        region: str = "us-east-1",
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        credentials = {"region": region, "access_key": access_key, "secret_key": secret_key}
        self._bucket = bucket
        self._client = _client(endpoint, **credentials)
        self._public_client = _client(public_endpoint or endpoint, **credentials)
        # Threads per transfer would multiply memory by the number of jobs; one part at a time is fast enough.
        self._transfer = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
        )
        self._copying = TransferConfig(
            multipart_threshold=COPY_PART_BYTES, multipart_chunksize=COPY_PART_BYTES, use_threads=False
        )

    def ensure_bucket(self) -> None:
        """Make the bucket when it is not there. A key that may not list buckets gets StorageError only if it is not."""
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in {*_MISSING, "NoSuchBucket"}:
                raise _refusal(error) from error
            self._create_bucket()
        except BotoCoreError as error:
            raise StorageError("The object store did not answer.") from error

    def allow_origins(self, origins: Sequence[str]) -> bool:
        """Let pages of these origins fetch, and send parts of uploads, by presigned URL (CORS).

        False, with a warning, where the server cannot be told: it then has a setting of its own for it.
        """
        rule = {
            "AllowedOrigins": list(origins),
            "AllowedMethods": ["GET", "HEAD", "PUT"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag", "Content-Range", "Content-Length", "Accept-Ranges"],
            "MaxAgeSeconds": CORS_MAX_AGE_S,
        }
        try:
            self._client.put_bucket_cors(Bucket=self._bucket, CORSConfiguration={"CORSRules": [cast(Any, rule)]})
        except ClientError as error:
            if _code(error) not in _NOT_OFFERED:
                raise _refusal(error) from error
            logger.warning("cors_not_set", extra={"reason": _code(error)})
            return False
        except BotoCoreError as error:
            raise StorageError("The object store did not answer.") from error
        return True

    def open_writer(self, key: str, *, media_type: str) -> S3ObjectWriter:
        """Stream bytes into a new object."""
        return S3ObjectWriter(self._client, self._bucket, checked_key(key), media_type=media_type)

    def open_reader(self, key: str) -> BinaryIO:
        """A seekable reader that fetches only the ranges that are read, at least 1 MiB at a time."""
        raw = _RangeReader(self._client, self._bucket, checked_key(key))
        return io.BufferedReader(raw, READ_AHEAD_BYTES)

    def upload(self, path: Path, key: str, *, media_type: str) -> None:
        """Copy the file at `path` into the store."""
        with _answered():
            self._client.upload_file(
                str(path),
                self._bucket,
                checked_key(key),
                ExtraArgs={"ContentType": media_type},
                Config=self._transfer,
            )

    def download(self, key: str, path: Path) -> None:
        """Copy the object to `path`."""
        with _answered():
            self._client.download_file(self._bucket, checked_key(key), str(path), Config=self._transfer)

    def copy(self, key: str, target: str, *, media_type: str) -> None:
        """Let the server copy one object to another; the bytes do not come here."""
        with _answered():
            self._client.copy(
                {"Bucket": self._bucket, "Key": checked_key(key)},
                self._bucket,
                checked_key(target),
                ExtraArgs={"ContentType": media_type, "MetadataDirective": "REPLACE"},
                Config=self._copying,
            )

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with `prefix`.

        One request each: a job has a handful, and the bulk request is where S3 servers differ most.
        """
        deleted = 0
        with _answered():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=checked_prefix(prefix)
            )
            for page in pages:
                for item in page.get("Contents", []):
                    self._client.delete_object(Bucket=self._bucket, Key=item["Key"])
                    deleted += 1
        return deleted

    def presign_get(self, key: str, *, file_name: str, media_type: str, expires_s: int) -> str | None:
        """A URL for the public endpoint that downloads the object under `file_name`."""
        with _answered():
            return self._public_client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": checked_key(key),
                    "ResponseContentDisposition": content_disposition(file_name),
                    "ResponseContentType": media_type,
                },
                ExpiresIn=expires_s,
            )

    def parts(self) -> S3Parts:
        """Uploads in parts to this bucket."""
        return S3Parts(self._client, self._public_client, self._bucket)

    def source(self) -> S3Source:
        """Other people's objects, as far as the same credentials may read them."""
        return S3Source(self._client)

    def check(self) -> None:
        """Raise StorageError when the server does not answer, or the bucket is not there or not ours."""
        try:
            with _answered():
                self._client.head_bucket(Bucket=self._bucket)
        except NotFound as error:
            raise StorageError("The object store has no such bucket.") from error

    def _create_bucket(self) -> None:
        try:
            self._client.create_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in _ALREADY_THERE:  # another process was faster
                raise _refusal(error) from error
        except BotoCoreError as error:
            raise StorageError("The object store did not answer.") from error


def _client(endpoint: str, *, region: str | None, access_key: str | None, secret_key: str | None) -> S3Client:
    client: S3Client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            # boto3's newer default sends checksums in trailers, which many servers refuse.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    return client


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _refusal(error) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageError("The object store did not answer.") from error


def _refusal(error: ClientError) -> NotFound | StorageError:
    code = _code(error)
    if code in _MISSING:
        return NotFound("There is no such object.")
    return StorageError(f"The object store refused: {code}.")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))

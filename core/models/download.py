"""Fetching released weights over HTTPS: resumed after an interruption, checked before they get their name.

A file is written as `<name>.part`, beside which `<name>.part.json` remembers what the server called this version of it,
so that a later run continues only the same version. It is renamed once its SHA-256 and its content have been checked.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx

from core.errors import InsufficientDisk, InvalidOptions, ModelUnavailable, TransientError
from core.model_catalogue import Architecture, Bag, ModelRecord, Origin, WeightsFile

logger = logging.getLogger(__name__)

ATTEMPTS = 5
MAX_PAUSE_S = 30.0
MAX_FILE_BYTES = 4 * 1024**3
"""No released file comes near it; it ends an endless answer."""

ByteProgress = Callable[[WeightsFile, int, int | None], None]
"""Called with the file, its bytes so far and its size, None when the server does not say."""


def pull_model(
    record: ModelRecord,
    models_dir: Path,
    *,
    client: httpx.Client,
    base_url: str | None = None,
    on_progress: ByteProgress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> list[Path]:
    """Install the released files of a model below `models_dir` and return where they lie.

    Files that are there and verify are left alone. `base_url` names a mirror: a folder that holds the files under their
    official names. InvalidOptions for a model that has nothing to pull; otherwise as `fetch`.
    """
    from core.models.checkpoints import read_card

    if record.origin is Origin.BUNDLED or not record.files:
        raise InvalidOptions(f"There is nothing to pull for the model {record.name!r}. {record.how_to_get}")
    folder = record.files_dir(models_dir)
    folder.mkdir(parents=True, exist_ok=True)
    is_converted = record.architecture is Architecture.TWO_STAGE_UNET
    own = record.own_checkpoint(models_dir)
    if is_converted and own is not None and _sha256_of(own) == read_card(own).weights_sha256:
        return [own]
    paths = []
    for file in record.files:
        path = folder / file.name
        if not (path.is_file() and _sha256_of(path).startswith(file.sha256_prefix)):
            fetch(
                file if base_url is None else _at_mirror(file, base_url),
                path,
                client=client,
                check=partial(check_content, record, file),
                on_progress=on_progress,
                pause=pause,
            )
        paths.append(path)
    if is_converted:
        # Checking it has left its weights in our own format beside it.
        for path in paths:
            path.unlink()
        return [converted_path(record, folder)]
    if record.bag is not None:
        # Not read by Limpid: makes the folder one that `demucs --repo` accepts. JSON is YAML.
        (folder / f"{record.name}.yaml").write_text(json.dumps(_bag_as_yaml(record.bag)) + "\n", encoding="utf-8")
    return paths


def converted_path(record: ModelRecord, folder: Path) -> Path:
    """Return where the weights of a model lie that is converted into our own format when it is installed."""
    return folder / f"{record.name}.safetensors"


def check_content(record: ModelRecord, file: WeightsFile, path: Path) -> None:
    """Raise ModelUnavailable unless the file holds what the engine can load, and no code.

    A TensorFlow checkpoint is converted by the way: the result is written to the folder of `path`.
    """
    from core.models.released import read_demucs_pickle, read_state_dict
    from core.models.two_stage_release import convert_checkpoint

    if record.architecture is Architecture.TWO_STAGE_UNET:
        convert_checkpoint(path, name=record.name, target=converted_path(record, path.parent))
    elif record.bag is None:
        read_state_dict(path, model=record.name, sha256_prefix=file.sha256_prefix)
    else:
        read_demucs_pickle(path, model=record.name, sha256_prefix=file.sha256_prefix, is_quantised=record.is_quantised)


def fetch(
    file: WeightsFile,
    path: Path,
    *,
    client: httpx.Client,
    check: Callable[[Path], None] | None = None,
    on_progress: ByteProgress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Download `file` to `path` and return its SHA-256.

    An interrupted transfer is continued, up to five times in a row without a byte of progress, and by the next call
    after that. `check` sees the complete file before it gets its name. Raises TransientError when the server cannot be
    reached, ModelUnavailable when it answers with something else than the file, InsufficientDisk when there is no room.
    """
    part = path.with_name(path.name + ".part")
    failures = 0
    while True:
        size_before = _size_of(part)
        try:
            _transfer(file, part, client=client, on_progress=on_progress)
            break
        except (httpx.TransportError, _Unready) as error:
            failures = 0 if _size_of(part) > size_before else failures + 1
            logger.info("download_interrupted", extra={"file": file.name, "error": repr(error), "failures": failures})
            if failures >= ATTEMPTS:
                raise TransientError(
                    f"{file.name} could not be fetched from {httpx.URL(file.url).host} ({error}); "
                    "the same command continues where it stopped"
                ) from error
            pause(min(2.0**failures, MAX_PAUSE_S))
    digest = _sha256_of(part)
    try:
        if not digest.startswith(file.sha256_prefix):
            raise ModelUnavailable(
                f"What {httpx.URL(file.url).host} sent as {file.name} does not verify: SHA-256 {digest[:16]}…, "
                f"expected {file.sha256_prefix}…; it has been removed"
            )
        if check is not None:
            check(part)
    except ModelUnavailable:
        _discard(part)
        raise
    part.replace(path)
    _discard(part)
    return digest


class _Unready(Exception):
    """The server asks to come back later, or refused the range: the next attempt starts from what is left."""


def _transfer(file: WeightsFile, part: Path, *, client: httpx.Client, on_progress: ByteProgress | None) -> None:
    """Bring `part` to its full length in one request."""
    version = _read_version(part)
    offset = _size_of(part) if version else 0
    headers = {"Accept-Encoding": "identity"}
    if version and offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": version}
    with client.stream("GET", file.url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if response.headers.get("Content-Range") == f"bytes */{offset}":
                return
            _discard(part)
            raise _Unready("the server has another version of the file")
        _check_answer(file, response)
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            offset = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            _discard(part)
            raise _Unready("the server continued at another place")
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdigit() else None
        _check_room(file, part, offset=offset, total=total)
        _write_version(part, response)
        with part.open("ab" if offset else "wb") as out:
            for block in response.iter_raw():  # as it arrives: what a block size holds back is lost when it breaks off
                out.write(block)
                offset += len(block)
                if offset > MAX_FILE_BYTES:
                    raise ModelUnavailable(f"What the server sends as {file.name} is too large to be it")
                if on_progress is not None:
                    on_progress(file, offset, total)
            out.flush()
            os.fsync(out.fileno())


def _check_answer(file: WeightsFile, response: httpx.Response) -> None:
    host, status = response.url.host, response.status_code
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise _Unready(f"status {status}")
    if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise ModelUnavailable(f"{host} answered with status {status} for {file.name}")
    if httpx.URL(file.url).scheme == "https" and response.url.scheme != "https":
        raise ModelUnavailable(f"{httpx.URL(file.url).host} redirects {file.name} to an address without TLS")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise ModelUnavailable(f"{host} answered with a web page instead of {file.name}; is the address right?")


def _check_room(file: WeightsFile, part: Path, *, offset: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    missing = (total or file.bytes or 0) - offset
    if missing > free:
        raise InsufficientDisk(f"{file.name} needs {missing} bytes more, {free} are free in the models folder")


def _version_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_version(part: Path) -> str | None:
    """Return what the server called the version that `part` is a beginning of; None when there is no knowing."""
    try:
        version = json.loads(_version_path(part).read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None


def _write_version(part: Path, response: httpx.Response) -> None:
    tag = response.headers.get("ETag", "")
    # A weak tag promises equivalent content, not equal bytes: no ground to continue on (RFC 9110, 13.1.5).
    version = response.headers.get("Last-Modified") if not tag or tag.startswith("W/") else tag
    _version_path(part).write_text(json.dumps({"version": version}), encoding="utf-8")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_path(part).unlink(missing_ok=True)


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _at_mirror(file: WeightsFile, base_url: str) -> WeightsFile:
    return WeightsFile(
        name=file.name,
        url=f"{base_url.rstrip('/')}/{file.name}",
        sha256_prefix=file.sha256_prefix,
        bytes=file.bytes,
    )


def _bag_as_yaml(bag: Bag) -> dict[str, object]:
    fields = {"models": bag.members, "weights": bag.weights, "segment": bag.segment_s}
    return {key: value for key, value in fields.items() if value is not None}

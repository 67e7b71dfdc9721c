"""Writes TensorFlow checkpoints (tensor bundles) for tests, as TensorFlow itself lays them out."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 4096
RESTART_INTERVAL = 16
TABLE_MAGIC = 0xDB4775248B80FB57
FLOAT32 = 1


def write_bundle(prefix: Path, tensors: Mapping[str, NDArray[np.float32]], *, compression: int = 0) -> None:
    """Write `<prefix>.index`, whose blocks state this `compression`, and `<prefix>.data-00000-of-00001`."""
    data = bytearray()
    entries: list[tuple[bytes, bytes]] = [(b"", bytes([8, 1, 26, 2, 8, 1]))]  # header: one shard, version 1
    for name in sorted(tensors):
        values = tensors[name].astype("<f4").tobytes()
        entries.append((name.encode(), _entry(tensors[name].shape, offset=len(data), size=len(values))))
        data += values
    prefix.with_name(prefix.name + ".index").write_bytes(_table(entries, compression=compression))
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(bytes(data))


def zip_bundle(prefix: Path, archive: Path, *, folder: str = "checkpoint") -> None:
    """Pack the files of a bundle as a release does: within a folder, beside the file that names the latest."""
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr(f"{folder}/checkpoint", f'model_checkpoint_path: "{prefix.name}"\n')
        for suffix in (".index", ".data-00000-of-00001"):
            target.write(prefix.with_name(prefix.name + suffix), f"{folder}/{prefix.name}{suffix}")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _entry(shape: Sequence[int], *, offset: int, size: int) -> bytes:
    dimensions = b""
    for length in shape:
        dimension = b"\x08" + _varint(length)
        dimensions += b"\x12" + _varint(len(dimension)) + dimension
    message = bytes([8, FLOAT32]) + b"\x12" + _varint(len(dimensions)) + dimensions
    if offset:  # zero is the default and is left out
        message += b"\x20" + _varint(offset)
    return message + b"\x28" + _varint(size) + b"\x35" + struct.pack("<I", 0)  # the checksum is not read


def _block(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    block = bytearray()
    restarts = []
    previous = b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % RESTART_INTERVAL == 0:
            restarts.append(len(block))
        else:
            while shared < min(len(previous), len(key)) and previous[shared] == key[shared]:
                shared += 1
        block += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        previous = key
    return bytes(block) + b"".join(struct.pack("<I", restart) for restart in [*restarts, len(restarts)])


def _table(entries: Sequence[tuple[bytes, bytes]], *, compression: int) -> bytes:
    table = bytearray()

    def append(block: bytes) -> bytes:
        handle = _varint(len(table)) + _varint(len(block))
        table.extend(block + bytes([compression]) + struct.pack("<I", 0))  # the checksum is not read
        return handle

    handles = []
    pending: list[tuple[bytes, bytes]] = []
    for key, value in entries:
        pending.append((key, value))
        if sum(len(part) for pair in pending for part in pair) >= BLOCK_BYTES:
            handles.append((key, append(_block(pending))))
            pending = []
    if pending:
        handles.append((pending[-1][0], append(_block(pending))))
    meta = append(_block([]))
    footer = meta + append(_block(handles))
    return bytes(table) + footer.ljust(40, b"\x00") + struct.pack("<Q", TABLE_MAGIC)

"""Reads TensorFlow's checkpoint files (tensor bundles) without TensorFlow: an index file and files of raw tensors.

    <prefix>.index                   a sorted-string table: tensor name -> type, shape, place
    <prefix>.data-00000-of-00001     the values, one tensor after the other

The table is LevelDB's: blocks of entries whose keys share prefixes, an index block, a footer of 48 bytes. The entries
are protocol-buffer messages (tensor_bundle.proto). Nothing in either file can run.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOOTER_BYTES = 48
TABLE_MAGIC = 0xDB4775248B80FB57
BLOCK_TRAILER_BYTES = 5  # compression type and checksum
FLOAT32 = 1  # DT_FLOAT

_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE = 1, 2, 3, 4, 5  # fields of BundleEntryProto
_DIMENSION, _DIMENSION_SIZE = 2, 1  # of TensorShapeProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


class BundleError(ValueError):
    """The files are no tensor bundle, or one of a kind that is not read here."""


@dataclass(frozen=True, kw_only=True)
class BundleEntry:
    """Where a tensor lies. `dtype` is TensorFlow's number of the type."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size_bytes: int


def read_index(data: bytes) -> dict[str, BundleEntry]:
    """Return the tensors by name from the bytes of an index file; BundleError when it is damaged or compressed."""
    if len(data) < FOOTER_BYTES or struct.unpack_from("<Q", data, len(data) - 8)[0] != TABLE_MAGIC:
        raise BundleError("the index file does not end as a tensor bundle's does")
    try:
        position = len(data) - FOOTER_BYTES
        for _ in range(2):  # offset and size of the meta-index block come first
            _, position = _read_varint(data, position)
        offset, position = _read_varint(data, position)
        size, _ = _read_varint(data, position)
        entries = {}
        for _, handle in _block_entries(_block(data, offset, size)):
            block_offset, after = _read_varint(handle, 0)
            block_size, _ = _read_varint(handle, after)
            for key, value in _block_entries(_block(data, block_offset, block_size)):
                if key:  # the empty key holds the header
                    entries[key.decode()] = _parse_entry(value)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise BundleError("the index file is damaged") from error
    return entries


def read_tensor(entry: BundleEntry, shards: Mapping[int, bytes]) -> NDArray[np.float32]:
    """Return the float32 tensor of `entry` from the bytes of the data files by number."""
    if entry.dtype != FLOAT32:
        raise BundleError(f"a tensor is of TensorFlow type {entry.dtype}, expected {FLOAT32} (float32)")
    count = int(np.prod(entry.shape, dtype=np.int64))
    if entry.size_bytes != 4 * count:
        raise BundleError(f"a tensor of shape {entry.shape} has {entry.size_bytes} bytes, expected {4 * count}")
    data = shards.get(entry.shard)
    if data is None or len(data) < entry.offset + entry.size_bytes:
        raise BundleError(f"data file {entry.shard} is missing or ends before the tensor does")
    return np.frombuffer(data, "<f4", count, entry.offset).reshape(entry.shape)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise BundleError("the index file holds a number of more than 64 bits")


def _block(data: bytes, offset: int, size: int) -> bytes:
    if offset + size + BLOCK_TRAILER_BYTES > len(data):
        raise BundleError("the index file is cut off")
    if data[offset + size] != 0:
        raise BundleError("the index file is compressed; only plain ones, as TensorFlow writes them, are read")
    return data[offset : offset + size]


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of each entry; a key repeats the beginning of the one before by reference."""
    restarts = struct.unpack_from("<I", block, len(block) - 4)[0]
    stop = len(block) - 4 - 4 * restarts
    position = 0
    key = b""
    while position < stop:
        shared, position = _read_varint(block, position)
        unshared, position = _read_varint(block, position)
        length, position = _read_varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protocol-buffer message; numbers of fixed width are left out."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _read_varint(message, position)
            yield field, value
        elif wire == _BYTES:
            length, position = _read_varint(message, position)
            yield field, message[position : position + length]
            position += length
        elif wire in (_FIXED32, _FIXED64):
            position += 4 if wire == _FIXED32 else 8
        else:
            raise BundleError(f"the index file holds a field of unknown wire type {wire}")


def _parse_entry(message: bytes) -> BundleEntry:
    numbers = dict.fromkeys((_DTYPE, _SHARD, _OFFSET, _SIZE), 0)
    shape: tuple[int, ...] = ()
    for field, value in _fields(message):
        if field == _SHAPE and isinstance(value, bytes):
            shape = tuple(_parse_dimension(part) for part_field, part in _fields(value) if part_field == _DIMENSION)
        elif field in numbers and isinstance(value, int):
            numbers[field] = value
    return BundleEntry(
        dtype=numbers[_DTYPE],
        shape=shape,
        shard=numbers[_SHARD],
        offset=numbers[_OFFSET],
        size_bytes=numbers[_SIZE],
    )


def _parse_dimension(message: int | bytes) -> int:
    if not isinstance(message, bytes):
        raise BundleError("the index file holds a shape that is none")
    return next((value for field, value in _fields(message) if field == _DIMENSION_SIZE and isinstance(value, int)), 0)

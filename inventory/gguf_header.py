"""The header of a GGUF file, read strictly: bytes in, typed metadata and a tensor table out.

A model file is untrusted input, so nothing in it sizes an allocation or a loop before it was checked against the bytes
that are really there. The `gguf` library's own reader is not used for that reason: it maps the file and walks the
counts it finds, so an array that claims 2^60 elements keeps it appending empty views until memory is gone.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import BinaryIO, Literal

from inventory.ggml_types import TENSOR_TYPES
from inventory.model_error import ModelFileError

MAX_HEADER_BYTES = 128 << 20  # the largest vocabularies in use (260,000 tokens with merges) stay under 20 MiB
MAX_KEYS = 8_192
MAX_TENSORS = 131_072
MAX_NAME_BYTES = 1_024
MAX_TEXT_BYTES = 4 << 20  # one string value; chat templates are below 100 KiB
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 1 << 20
KEPT_ELEMENTS = 8_192  # longer arrays (vocabularies) are reduced to their length and digest
_CHUNK_BYTES = 1 << 18

ScalarType = Literal["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "u64", "i64", "f64"]
ValueType = ScalarType | Literal["string"]

_SCALARS: dict[int, tuple[ScalarType, str]] = {
    0: ("u8", "B"),
    1: ("i8", "b"),
    2: ("u16", "H"),
    3: ("i16", "h"),
    4: ("u32", "I"),
    5: ("i32", "i"),
    6: ("f32", "f"),
    7: ("bool", "B"),
    10: ("u64", "Q"),
    11: ("i64", "q"),
    12: ("f64", "d"),
}
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")


class GgufError(ModelFileError):
    """A file that is not a usable GGUF model."""

    def __init__(self, path: str, reason: str, offset: int | None = None) -> None:
        super().__init__(path, reason, "GGUF file", offset)


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array value. `values` is None where it has more than KEPT_ELEMENTS; the digest covers its raw bytes."""

    element: ValueType
    length: int
    sha256: str
    values: tuple[int | float | bool | str, ...] | None


Value = int | float | bool | str | GgufArray


@dataclass(frozen=True, slots=True)
class GgufTensor:
    name: str
    shape: tuple[int, ...]
    type_name: str
    elements: int
    offset: int  # from the start of the tensor data
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    path: str  # as errors should name it
    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[GgufTensor, ...]
    data_offset: int
    file_bytes: int


def parse_header(file: BinaryIO, path: str, file_bytes: int) -> GgufHeader:
    """Read and check one file's header. Raises GgufError; reads at most MAX_HEADER_BYTES."""
    cursor = _Cursor(file, path, file_bytes)
    version, tensor_count, key_count = _preamble(cursor)
    metadata: dict[str, Value] = {}
    for _ in range(key_count):
        start = cursor.position
        key = cursor.text("a metadata key", MAX_NAME_BYTES)
        if not key or key in metadata:
            raise cursor.error(f"the metadata key {key!r} is {'given twice' if key else 'empty'}", start)
        metadata[key] = _value(cursor, key)
    alignment = _alignment(metadata, cursor)
    tensors = [_tensor(cursor, alignment) for _ in range(tensor_count)]
    data_offset = -(-cursor.position // alignment) * alignment
    _check_layout(tensors, data_offset, cursor)
    return GgufHeader(path, version, MappingProxyType(metadata), tuple(tensors), data_offset, file_bytes)


class _Cursor:
    """A forward reader that knows how many bytes the file has, and refuses to look past them."""

    def __init__(self, file: BinaryIO, path: str, file_bytes: int) -> None:
        self._file, self._path = file, path
        self.file_bytes = file_bytes
        self._end = min(file_bytes, MAX_HEADER_BYTES)
        self._buffer = b""
        self._at = 0
        self.position = 0

    @property
    def remaining(self) -> int:
        return self._end - self.position

    def error(self, reason: str, offset: int | None = None) -> GgufError:
        return GgufError(self._path, reason, self.position if offset is None else offset)

    def take(self, count: int, what: str) -> bytes:
        if count > self.remaining:
            raise self.error(self._shortfall(what))
        at = self._at
        if at + count > len(self._buffer):
            self._refill(count, what)
            at = 0
        self._at = at + count
        self.position += count
        return self._buffer[at : at + count]

    def integer(self, what: str, width: int) -> int:
        return int.from_bytes(self.take(width, what), "little")

    def raw_text(self, what: str, limit: int) -> bytes:
        start = self.position
        length = self.integer(what, 8)
        if length > limit:
            raise self.error(f"{what} claims {length} bytes; the limit is {limit}", start)
        return self.take(length, what)

    def text(self, what: str, limit: int) -> str:
        start = self.position
        try:
            return self.raw_text(what, limit).decode()
        except UnicodeDecodeError:
            raise self.error(f"{what} is not UTF-8", start) from None

    def skip_texts(self, what: str, limit: int, count: int) -> str:
        """The sha256 over `count` strings with their lengths; they are not kept. Fast: vocabularies are long."""
        digest = hashlib.sha256()
        while count:
            buffer, start = self._buffer, self._at
            at = start
            last = len(buffer) - 8
            while count and at <= last and (after := at + 8 + _LENGTH.unpack_from(buffer, at)[0]) <= len(buffer):
                at, count = after, count - 1
            digest.update(memoryview(buffer)[start:at])
            self._at, self.position = at, self.position + at - start
            if count:  # the next one crosses the end of the buffer
                element = self.raw_text(what, limit)
                digest.update(len(element).to_bytes(8, "little") + element)
                count -= 1
        return digest.hexdigest()

    def _refill(self, count: int, what: str) -> None:
        kept = self._buffer[self._at :]
        self._buffer = kept + self._file.read(max(count - len(kept), min(_CHUNK_BYTES, self.remaining - len(kept))))
        self._at = 0
        if len(self._buffer) < count:
            raise self.error(f"the file became shorter while {what} was read")

    def _shortfall(self, what: str) -> str:
        if self._end < self.file_bytes:
            return f"the header is larger than {MAX_HEADER_BYTES} bytes"
        return f"the file ends inside {what}"


def _preamble(cursor: _Cursor) -> tuple[int, int, int]:
    magic = cursor.take(4, "the magic number")
    if magic != b"GGUF":
        raise cursor.error(f"it starts with {magic!r} instead of b'GGUF'", 0)
    version = cursor.integer("the version", 4)
    if version & 0xFFFF == 0:
        raise cursor.error("it was written for a big-endian machine", 4)
    if version not in (2, 3):
        raise cursor.error(f"version {version} is not supported (2 and 3 are)", 4)
    tensor_count = cursor.integer("the tensor count", 8)
    key_count = cursor.integer("the metadata count", 8)
    if tensor_count > min(MAX_TENSORS, cursor.remaining // 24):
        raise cursor.error(f"it claims {tensor_count} tensors, more than the file can hold or potluck reads", 8)
    if key_count > min(MAX_KEYS, cursor.remaining // 13):
        raise cursor.error(f"it claims {key_count} metadata keys, more than the file can hold or potluck reads", 16)
    return version, tensor_count, key_count


def _value(cursor: _Cursor, key: str) -> Value:
    start = cursor.position
    kind = cursor.integer(f"the type of {key}", 4)
    if kind == _STRING:
        return cursor.text(key, MAX_TEXT_BYTES)
    if kind == _ARRAY:
        return _array(cursor, key)
    if kind not in _SCALARS:
        raise cursor.error(f"{key} has the unknown type {kind}", start)
    return _scalars(cursor, key, kind, 1)[0]


def _scalars(cursor: _Cursor, key: str, kind: int, count: int) -> tuple[int | float | bool, ...]:
    name, code = _SCALARS[kind]
    start = cursor.position
    values = struct.unpack(f"<{count}{code}", cursor.take(count * struct.calcsize(code), key))
    if name != "bool":
        return values
    if any(value > 1 for value in values):
        raise cursor.error(f"{key} is a boolean that is neither 0 nor 1", start)
    return tuple(value == 1 for value in values)


def _array(cursor: _Cursor, key: str) -> GgufArray:
    start = cursor.position
    kind = cursor.integer(f"the element type of {key}", 4)
    count = cursor.integer(f"the length of {key}", 8)
    if kind == _STRING:
        width = 8
    elif kind in _SCALARS:
        width = struct.calcsize(_SCALARS[kind][1])
    else:
        nested = kind == _ARRAY
        raise cursor.error(f"{key} is an array of {'arrays' if nested else f'the unknown type {kind}'}", start)
    if count > cursor.remaining // width:
        raise cursor.error(f"{key} claims {count} elements, more than the file can hold", start)
    if kind == _STRING:
        return _text_array(cursor, key, count)
    if count <= KEPT_ELEMENTS:
        values = _scalars(cursor, key, kind, count)
        packed = struct.pack(f"<{count}{_SCALARS[kind][1]}", *values)
        return GgufArray(_SCALARS[kind][0], count, hashlib.sha256(packed).hexdigest(), values)
    digest = hashlib.sha256()
    for done in range(0, count * width, _CHUNK_BYTES):
        digest.update(cursor.take(min(_CHUNK_BYTES, count * width - done), key))
    return GgufArray(_SCALARS[kind][0], count, digest.hexdigest(), None)


def _text_array(cursor: _Cursor, key: str, count: int) -> GgufArray:
    # Elements are hashed, not decoded: vocabularies of byte-level tokenizers need not be UTF-8.
    if count > KEPT_ELEMENTS:
        return GgufArray("string", count, cursor.skip_texts(key, MAX_TEXT_BYTES, count), None)
    elements = [cursor.raw_text(key, MAX_TEXT_BYTES) for _ in range(count)]
    digest = hashlib.sha256(b"".join(len(element).to_bytes(8, "little") + element for element in elements))
    kept = tuple(element.decode(errors="replace") for element in elements)
    return GgufArray("string", count, digest.hexdigest(), kept)


def _alignment(metadata: Mapping[str, Value], cursor: _Cursor) -> int:
    value = metadata.get("general.alignment", 32)
    if type(value) is not int or not 8 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.error(f"general.alignment must be a power of two between 8 and {MAX_ALIGNMENT}, not {value!r}")
    return value


def _tensor(cursor: _Cursor, alignment: int) -> GgufTensor:
    start = cursor.position
    name = cursor.text("a tensor name", MAX_NAME_BYTES)
    dimensions = cursor.integer(f"tensor {name}", 4)
    if dimensions > MAX_DIMENSIONS:
        raise cursor.error(f"tensor {name} claims {dimensions} dimensions; the limit is {MAX_DIMENSIONS}", start)
    shape = tuple(cursor.integer(f"tensor {name}", 8) for _ in range(dimensions))
    kind = TENSOR_TYPES.get(type_id := cursor.integer(f"tensor {name}", 4))
    offset = cursor.integer(f"tensor {name}", 8)
    if kind is None:
        raise cursor.error(f"tensor {name} has the unknown type {type_id}", start)
    elements = 1
    for extent in shape:
        elements *= extent
    if not 0 < elements < 1 << 62 or (shape[0] if shape else 1) % kind.block_elements:
        raise cursor.error(f"tensor {name} has an impossible shape {shape} for type {kind.name}", start)
    if offset % alignment:
        raise cursor.error(f"tensor {name} lies at {offset}, which is no multiple of {alignment}", start)
    return GgufTensor(name, shape, kind.name, elements, offset, elements // kind.block_elements * kind.block_bytes)


def _check_layout(tensors: list[GgufTensor], data_offset: int, cursor: _Cursor) -> None:
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise cursor.error("two tensors have the same name")
    in_order = sorted(tensors, key=lambda tensor: tensor.offset)
    for before, after in pairwise(in_order):
        if before.offset + before.size_bytes > after.offset:
            raise cursor.error(f"tensors {before.name} and {after.name} overlap", data_offset + after.offset)
    if in_order and data_offset + in_order[-1].offset + in_order[-1].size_bytes > cursor.file_bytes:
        last = in_order[-1]
        raise cursor.error(f"the file ends inside tensor {last.name}; it is truncated", data_offset + last.offset)

"""The header of a safetensors file, read strictly: bytes in, a tensor table out.

The format (https://huggingface.co/docs/safetensors): eight bytes with the header's length, little-endian; a JSON object
from tensor names to type, shape and byte range; then the bytes. The ranges have to fill the rest of the file without
a gap or an overlap, as the format's own library demands, so nothing can hide between tensors and two readers that
settle a name given twice in different ways cannot be fooled: the other range would be a gap.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, BinaryIO

import msgspec

from inventory.model_error import ModelFileError

MAX_HEADER_BYTES = 16 << 20  # 2,500 tensors, as the shards of the largest models hold, take 0.5 MiB
PLACE = b'"data_offsets"'
MAX_TENSORS = 131_072
MAX_DIMENSIONS = 8
MAX_NAME_CHARACTERS = 1_024

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip

_Extent = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]


class SafetensorsError(ModelFileError):
    """A file that is not usable safetensors."""

    def __init__(self, path: str, reason: str, offset: int | None = None) -> None:
        super().__init__(path, reason, "safetensors file", offset)


class _Entry(msgspec.Struct, frozen=True, gc=False):
    dtype: Annotated[str, msgspec.Meta(max_length=16)]
    shape: Annotated[tuple[_Extent, ...], msgspec.Meta(max_length=MAX_DIMENSIONS)]
    data_offsets: tuple[_Extent, _Extent]


_ENTRY = msgspec.json.Decoder(_Entry)
_NOT_READABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class SafeTensor:
    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    start: int  # from the end of the header
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    path: str
    tensors: tuple[SafeTensor, ...]  # in the order of their bytes
    written_as: str | None  # "pt", "mlx": which library wrote the file, where it says


def parse_header(file: BinaryIO, path: str, file_bytes: int) -> SafetensorsHeader:
    """Raises SafetensorsError. Reads at most MAX_HEADER_BYTES and eight bytes."""
    entries = _entries(_header_text(file, path, file_bytes), path)
    metadata = entries.pop("__metadata__", None)
    tensors = [_tensor(name, entry, path) for name, entry in entries.items()]
    in_order = tuple(sorted(tensors, key=lambda tensor: (tensor.start, tensor.size_bytes, tensor.name)))
    _check_layout(in_order, path, file.tell(), file_bytes)
    return SafetensorsHeader(path, in_order, None if metadata is None else _written_as(metadata, path))


def _header_text(file: BinaryIO, path: str, file_bytes: int) -> bytes:
    prefix = file.read(8)
    if len(prefix) < 8:
        raise SafetensorsError(path, f"it has {len(prefix)} bytes; the length of its header alone takes 8")
    length = int.from_bytes(prefix, "little")
    if length > file_bytes - 8:
        raise SafetensorsError(path, f"its header claims {length} bytes, more than the file has", 0)
    if length > MAX_HEADER_BYTES:
        raise SafetensorsError(path, f"its header claims {length} bytes; the limit is {MAX_HEADER_BYTES}", 0)
    text = file.read(length)
    if len(text) < length:
        raise SafetensorsError(path, "the file became shorter while it was read", 8 + len(text))
    if not text.startswith(b"{"):
        raise SafetensorsError(path, f"its header starts with {text[:1]!r} instead of b'{{'", 8)
    return text


def _entries(text: bytes, path: str) -> dict[str, msgspec.Raw]:
    try:
        text.decode()  # msgspec does not look into what it passes over
        entries = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except _NOT_READABLE as error:
        raise SafetensorsError(path, f"its header does not say what tensors it holds: {error}", 8) from None
    tensors = len(entries) - ("__metadata__" in entries)
    if tensors > MAX_TENSORS:
        raise SafetensorsError(path, f"it claims {tensors} tensors; the limit is {MAX_TENSORS}", 8)
    if text.count(PLACE) != tensors + _named_so(entries):
        raise SafetensorsError(path, "its header gives a tensor twice, or one without a place", 8)
    return entries


def _named_so(entries: dict[str, msgspec.Raw]) -> int:
    """How often the word for a place is something else: a tensor's name, or within the metadata."""
    metadata = entries.get("__metadata__")
    return ("data_offsets" in entries) + (bytes(metadata).count(PLACE) if metadata is not None else 0)


def _written_as(metadata: msgspec.Raw, path: str) -> str | None:
    try:
        return msgspec.json.decode(metadata, type=dict[str, str]).get("format")
    except _NOT_READABLE as error:
        raise SafetensorsError(path, f"its metadata cannot be read: {error}") from None


def _tensor(name: str, raw: msgspec.Raw, path: str) -> SafeTensor:
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise SafetensorsError(path, f"the name of a tensor is empty, too long or not printable: {name[:40]!r}")
    try:
        entry = _ENTRY.decode(raw)
    except _NOT_READABLE as error:
        raise SafetensorsError(path, f"tensor {name} lacks a proper type, shape or place: {error}") from None
    bits = _BITS.get(entry.dtype)
    if bits is None:
        raise SafetensorsError(path, f"tensor {name} has the unknown type {entry.dtype!r}")
    elements = 1
    for extent in entry.shape:
        elements *= extent
    start, end = entry.data_offsets
    if start > end or elements * bits != (end - start) * 8:
        raise SafetensorsError(
            path,
            f"tensor {name} of type {entry.dtype} and shape {list(entry.shape)} cannot take bytes {start} to {end}",
        )
    return SafeTensor(name, entry.dtype, entry.shape, elements, start, end - start)


def _check_layout(tensors: tuple[SafeTensor, ...], path: str, data_offset: int, file_bytes: int) -> None:
    if tensors and tensors[0].start != 0:
        raise SafetensorsError(path, f"there is a gap before tensor {tensors[0].name}", data_offset)
    for before, after in pairwise(tensors):
        end = before.start + before.size_bytes
        if end != after.start:
            problem = "overlap" if end > after.start else "leave a gap between them"
            raise SafetensorsError(path, f"tensors {before.name} and {after.name} {problem}", data_offset + after.start)
    end = data_offset + (tensors[-1].start + tensors[-1].size_bytes if tensors else 0)
    if end > file_bytes:
        raise SafetensorsError(path, f"the file ends inside tensor {tensors[-1].name}; it is truncated", file_bytes)
    if end < file_bytes:
        raise SafetensorsError(path, f"{file_bytes - end} bytes at its end belong to no tensor", end)

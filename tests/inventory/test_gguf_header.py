"""The header reader against files that are as they should be, and against single, known faults."""

import hashlib
import io
import os
import struct
from pathlib import Path

import pytest
from gguf.constants import GGML_QUANT_SIZES

from inventory.ggml_types import TENSOR_TYPES
from inventory.gguf_file import read_header
from inventory.gguf_header import GgufArray, GgufError, GgufHeader, parse_header
from support.gguf_files import Setting, write_gguf
from support.packaged_model import smollm2_path


def parse(content: bytes) -> GgufHeader:
    return parse_header(io.BytesIO(content), "model.gguf", len(content))


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def preamble(tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def key(name: str, kind: int, payload: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + payload


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def with_data(header: bytes, size: int) -> bytes:
    return header + bytes(-len(header) % 32) + bytes(size)


def test_the_table_of_tensor_types_equals_that_of_the_gguf_library() -> None:
    library = {int(kind): (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}

    assert {kind: (t.name, t.block_elements, t.block_bytes) for kind, t in TENSOR_TYPES.items()} == library


def test_the_real_model_is_read_exactly() -> None:
    header = read_header(smollm2_path())

    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert (len(header.metadata), len(header.tensors), header.data_offset) == (33, 272, 1_785_664)
    assert isinstance(tokens, GgufArray)
    assert (tokens.element, tokens.length, tokens.values) == ("string", 49_152, None)
    assert header.tensors[0].name == "token_embd.weight"
    assert header.data_offset + max(t.offset + t.size_bytes for t in header.tensors) == header.file_bytes


def test_values_of_every_kind_come_back_as_they_were_written(tmp_path: Path) -> None:
    settings: dict[str, Setting] = {
        "a": 7,
        "b": 1.5,
        "c": True,
        "d": "wörd",
        "e": [1, 2, 3],
        "f": ["x", "y"],
        "g": [True, False],
    }
    header = read_header(write_gguf(tmp_path / "model.gguf", general=settings))

    assert [header.metadata[name] for name in "abcd"] == [7, 1.5, True, "wörd"]
    arrays = [header.metadata[name] for name in "efg"]
    assert [array.values for array in arrays if isinstance(array, GgufArray)] == [(1, 2, 3), ("x", "y"), (True, False)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ends inside the magic number"),
        (b"GGML" + bytes(40), "starts with"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (preamble(version=1), "version 1 is not supported"),
        (preamble(tensors=1 << 60), "tensors, more than the file can hold"),
        (preamble(keys=1 << 60), "metadata keys, more than the file can hold"),
        (preamble(keys=1) + key("a", 8, struct.pack("<Q", 1 << 62)), "claims 4611686018427387904 bytes"),
        (preamble(keys=1) + key("a", 9, struct.pack("<IQ", 4, 1 << 60)), "elements, more than the file can hold"),
        (preamble(keys=1) + key("a", 9, struct.pack("<IQ", 9, 1)) + bytes(64), "an array of arrays"),
        (preamble(keys=1) + key("a", 9, struct.pack("<IQ", 77, 1)) + bytes(64), "array of the unknown type 77"),
        (preamble(keys=1) + key("a", 13, bytes(8)), "unknown type 13"),
        (preamble(keys=1) + key("a", 7, b"\x02"), "neither 0 nor 1"),
        (preamble(keys=2) + key("a", 4, bytes(4)) * 2, "given twice"),
        (preamble(keys=1) + key("", 4, bytes(4)), "is empty"),
        (preamble(keys=1) + key("general.alignment", 4, struct.pack("<I", 48)), "power of two"),
        (preamble(keys=1) + key("general.alignment", 8, text("32")), "power of two"),
        (with_data(preamble(tensors=1) + tensor("t", (32,) * 5), 0), "claims 5 dimensions"),
        (with_data(preamble(tensors=1) + tensor("t", (32,), kind=4), 64), "unknown type 4"),
        (with_data(preamble(tensors=1) + tensor("t", (33,), kind=2), 64), "impossible shape"),
        (with_data(preamble(tensors=1) + tensor("t", (0,)), 64), "impossible shape"),
        (with_data(preamble(tensors=1) + tensor("t", (1 << 40, 1 << 40)), 64), "impossible shape"),
        (with_data(preamble(tensors=1) + tensor("t", (8,), offset=4), 64), "no multiple of 32"),
        (with_data(preamble(tensors=1) + tensor("t", (8,), offset=1 << 50), 64), "ends inside tensor t"),
        (with_data(preamble(tensors=1) + tensor("t", (64,)), 255), "ends inside tensor t"),
        (with_data(preamble(tensors=2) + tensor("t", (8,)) + tensor("t", (8,), offset=32), 64), "same name"),
        (with_data(preamble(tensors=2) + tensor("t", (16,)) + tensor("u", (8,), offset=32), 64), "t and u overlap"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(content: bytes, reason: str) -> None:
    with pytest.raises(GgufError) as caught:
        parse(content)

    assert reason in str(caught.value)
    assert caught.value.path == "model.gguf"
    assert caught.value.offset is not None


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(GgufError, match="is not UTF-8"):
        parse(preamble(keys=1) + key("general.name", 8, struct.pack("<Q", 2) + b"\xff\xfe"))


def test_a_vocabulary_of_raw_bytes_is_accepted() -> None:
    element = struct.pack("<Q", 2) + b"\xff\xfe"
    header = parse(preamble(keys=1) + key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 1) + element))

    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, GgufArray)
    assert tokens.length == 1


def test_a_long_vocabulary_has_the_digest_of_its_raw_bytes() -> None:
    elements = b"".join(text("x" * (number % 900)) for number in range(9_000))  # crosses the read buffer many times
    header = parse(preamble(keys=1) + key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 9_000) + elements))

    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, GgufArray)
    assert (tokens.values, tokens.sha256) == (None, hashlib.sha256(elements).hexdigest())


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.gguf")

    with pytest.raises(GgufError, match="not a regular file"):
        read_header(tmp_path / "model.gguf")

"""The safetensors header, field by field, and whatever hypothesis makes of it."""

import io
import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.safetensors_header import (
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    SafetensorsError,
    SafetensorsHeader,
    parse_header,
)
from support.folder_files import BYTES, safetensors_bytes

Header = dict[str, dict[str, object]]
ONE: Header = {"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}


def parse(content: bytes) -> SafetensorsHeader:
    return parse_header(io.BytesIO(content), "model.safetensors", len(content))


def file_of(header: object, data: int) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def test_tensors_come_in_the_order_of_their_bytes() -> None:
    header = {
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]},
        **ONE,
        "scalar": {"dtype": "U8", "shape": [], "data_offsets": [16, 17]},
        "empty": {"dtype": "F32", "shape": [0, 5], "data_offsets": [16, 16]},
        "__metadata__": {"format": "mlx", "dtype": "a text that has nothing to do with types"},
    }
    read = parse(file_of(header, 17))

    assert [(tensor.name, tensor.elements, tensor.size_bytes) for tensor in read.tensors] == [
        ("a", 6, 12),
        ("b", 1, 4),
        ("empty", 0, 0),
        ("scalar", 1, 1),
    ]
    assert read.written_as == "mlx"


def test_a_header_without_metadata_or_tensors_is_one() -> None:
    assert parse(file_of({}, 0)).tensors == ()
    assert parse(file_of(ONE, 12)).written_as is None


def changed(**fields: object) -> Header:
    return {"a": {**ONE["a"], **fields}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it has 0 bytes"),
        (b"\x01\x00", "it has 2 bytes"),
        ((1 << 63).to_bytes(8, "little"), "more than the file has"),
        (file_of(b"[]", 0), "starts with b'\\['"),
        (file_of(b"{", 0), "does not say what tensors it holds"),
        (file_of(b"{" * 5000, 0), "does not say what tensors it holds"),
        (file_of(b'{"\xff": 1}', 0), "does not say what tensors it holds|gives a tensor twice"),
        (file_of(ONE, 11), "the file ends inside tensor a; it is truncated"),
        (file_of(ONE, 13), "1 bytes at its end belong to no tensor"),
        (file_of(changed(dtype="Q4"), 12), "unknown type 'Q4'"),
        (file_of(changed(dtype=5), 12), "lacks a proper type, shape or place"),
        (file_of(changed(shape=[-1, 3]), 12), "lacks a proper type, shape or place"),
        (file_of(changed(shape=[1.5, 3]), 12), "lacks a proper type, shape or place"),
        (file_of(changed(shape=[1 << 61] * 8), 12), "cannot take bytes 0 to 12"),
        (file_of(changed(shape=[1] * 9), 12), "lacks a proper type, shape or place"),
        (file_of(changed(shape=[2, 4]), 12), "cannot take bytes 0 to 12"),
        (file_of(changed(data_offsets=[12, 0]), 12), "cannot take bytes 12 to 0"),
        (file_of(changed(data_offsets=[0, 1 << 63]), 12), "lacks a proper type, shape or place"),
        (file_of(changed(data_offsets=[4, 16]), 16), "there is a gap before tensor a"),
        (file_of({**ONE, "b": ONE["a"]}, 12), "tensors a and b overlap"),
        (file_of({**ONE, "b": {**ONE["a"], "data_offsets": [16, 28]}}, 28), "leave a gap between them"),
        (file_of({"": ONE["a"]}, 12), "empty, too long or not printable"),
        (file_of({"a\x1b[31m": ONE["a"]}, 12), "empty, too long or not printable"),
        (file_of({"a": {"dtype": "F32", "shape": []}}, 0), "gives a tensor twice, or one without a place"),
        (file_of({**ONE, "__metadata__": {"format": 5}}, 12), "its metadata cannot be read"),
        (file_of(json.dumps({**ONE, "__metadata__": {"x": "y"}}).encode().replace(b'"x"', b'"\xff"'), 12), "utf-8"),
    ],
)
def test_what_no_writer_makes_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(SafetensorsError, match=reason):
        parse(content)


def test_a_tensor_may_have_any_name_and_metadata_say_anything() -> None:
    one = b'"data_offsets":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'
    told = b'"__metadata__":{"data_offsets":"none"}'
    assert [tensor.name for tensor in parse(file_of(b"{" + told + b"," + one + b"}", 4)).tensors] == ["data_offsets"]
    with pytest.raises(SafetensorsError, match="gives a tensor twice"):
        parse(file_of(b"{" + one + b"," + one + b"}", 4))


def test_a_tensor_given_twice_is_refused_whichever_one_a_reader_would_keep() -> None:
    one = b'"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'
    other = b'"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}'
    for text in (b"{" + one + b"," + other + b"}", b"{" + other + b"," + one + b"}"):
        with pytest.raises(SafetensorsError, match="gives a tensor twice"):
            parse(file_of(text, 8))


def test_more_tensors_or_bytes_than_any_model_has_are_refused() -> None:
    many: dict[str, object] = {f"t{number}": {"data_offsets": []} for number in range(MAX_TENSORS + 1)}
    with pytest.raises(SafetensorsError, match="the limit is 131072"):
        parse(file_of(many, 0))
    with pytest.raises(SafetensorsError, match="the limit is 16777216"):
        parse_header(io.BytesIO((MAX_HEADER_BYTES + 1).to_bytes(8, "little")), "model.safetensors", 1 << 40)


def test_a_file_that_shrinks_while_it_is_read_is_an_error() -> None:
    with pytest.raises(SafetensorsError, match="became shorter while it was read"):
        parse_header(io.BytesIO(file_of(ONE, 0)[:20]), "model.safetensors", 1000)


SHAPES = st.dictionaries(
    st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=20).filter(lambda n: n != "__metadata__"),
    st.tuples(st.sampled_from(sorted(BYTES)), st.lists(st.integers(0, 6), max_size=4)),
    max_size=12,
)


@settings(deadline=None)
@given(SHAPES)
def test_what_a_writer_makes_is_read_back(shapes: dict[str, tuple[str, list[int]]]) -> None:
    read = parse(safetensors_bytes(shapes))

    assert {tensor.name: (tensor.dtype, list(tensor.shape)) for tensor in read.tensors} == shapes
    assert sum(tensor.size_bytes for tensor in read.tensors) == sum(
        math.prod(shape) * BYTES[dtype] for dtype, shape in shapes.values()
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {}, optional={"dtype": JSON | st.sampled_from(sorted(BYTES)), "shape": JSON, "data_offsets": JSON}
)


def refused_or_whole(make: Callable[[], SafetensorsHeader], data: int) -> None:
    try:
        read = make()
    except SafetensorsError:
        return
    assert sum(tensor.size_bytes for tensor in read.tensors) == data


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8) | st.just("__metadata__"), ENTRY | JSON, max_size=5), st.integers(0, 64))
def test_any_json_ends_in_an_error_or_in_a_table_that_fills_the_file(header: object, data: int) -> None:
    refused_or_whole(lambda: parse(file_of(header, data)), data)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_an_error_or_in_a_table(content: bytes) -> None:
    length = int.from_bytes(content[:8], "little")
    refused_or_whole(lambda: parse(content), max(0, len(content) - 8 - length))

"""300 mutated GGUF headers: each ends in a clear error or, where the damage is harmless, in a valid spec.

Structured mutations (a count, a length, a type or a place that cannot be) must always end in an error. Memory is
bounded in every case. All is seeded, so a failure names a case that can be run again.
"""

import io
import random
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.catalog import ModelSpec
from inventory.gguf_header import GgufError, parse_header
from inventory.gguf_spec import spec_of
from support.gguf_files import DENSE, Setting, write_gguf
from support.packaged_model import smollm2_path

MEMORY_LIMIT_BYTES = 16 << 20
SCALAR_BYTES = (1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8)
UNKNOWN_VALUE_TYPES = (13, 255, 0xFFFFFFFF)
UNKNOWN_TENSOR_TYPES = (4, 31, 999, 0xFFFFFFFF)


@dataclass(frozen=True)
class Seed:
    """A good header as bytes, the size of its file, and where the library says its fields lie."""

    name: str
    header: bytes
    file_bytes: int
    keys: tuple[tuple[str, int, int, bool], ...]  # name, its offset, offset of its value's type, is it an array
    tensors: tuple[tuple[int, int], ...]  # offset of the name's length, offset of the dimension count


Mutation = Callable[[Seed, random.Random], tuple[bytes, int]]


def read_seed(path: Path) -> Seed:
    """Walks a good file without any check: what the code under test must not do."""
    content = path.read_bytes()
    tensor_count, key_count = struct.unpack_from("<QQ", content, 8)
    at = 24
    keys: list[tuple[str, int, int, bool]] = []
    for _ in range(key_count):
        type_at = _after_text(content, at)
        kind = struct.unpack_from("<I", content, type_at)[0]
        keys.append((content[at + 8 : type_at].decode(), at, type_at, kind == 9))
        at = _after_value(content, type_at + 4, kind)
    tensors: list[tuple[int, int]] = []
    for _ in range(tensor_count):
        dimensions_at = _after_text(content, at)
        tensors.append((at, dimensions_at))
        at = dimensions_at + 4 + 8 * struct.unpack_from("<I", content, dimensions_at)[0] + 12
    return Seed(path.name, content[: at + -at % 32], len(content), tuple(keys), tuple(tensors))


def _after_text(content: bytes, at: int) -> int:
    return at + 8 + int.from_bytes(content[at : at + 8], "little")


def _after_value(content: bytes, at: int, kind: int) -> int:
    if kind == 8:
        return _after_text(content, at)
    if kind != 9:
        return at + SCALAR_BYTES[kind]
    element, count = struct.unpack_from("<IQ", content, at)
    at += 12
    for _ in range(count):
        at = _after_value(content, at, element)
    return at


def outcome(content: bytes, file_bytes: int) -> ModelSpec | GgufError:
    try:
        return spec_of([parse_header(io.BytesIO(content), "model.gguf", file_bytes)])
    except GgufError as error:
        return error


def put(header: bytes, offset: int, code: str, value: int) -> bytes:
    return header[:offset] + struct.pack(f"<{code}", value) + header[offset + struct.calcsize(code) :]


def huge(rng: random.Random) -> int:
    return rng.choice((1 << 63, (1 << 64) - 1, rng.randrange(1 << 40, 1 << 63)))


def cut_inside_the_header(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    last_tensor_end = seed.tensors[-1][1]
    size = rng.randrange(0, last_tensor_end)
    return seed.header[:size], size


def cut_inside_the_weights(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return seed.header, rng.randrange(len(seed.header), seed.file_bytes - 64)


def absurd_tensor_count(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return put(seed.header, 8, "Q", huge(rng)), seed.file_bytes


def absurd_key_count(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return put(seed.header, 16, "Q", huge(rng)), seed.file_bytes


def more_keys_than_there_are(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return put(seed.header, 16, "Q", len(seed.keys) + rng.randrange(1, 40)), seed.file_bytes


def wrong_version(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return put(seed.header, 4, "I", rng.choice((0, 1, 4, 0x03000000, 0xFFFFFFFF))), seed.file_bytes


def absurd_key_length(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return put(seed.header, rng.choice(seed.keys)[1], "Q", huge(rng)), seed.file_bytes


def unknown_value_type(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return put(seed.header, rng.choice(seed.keys)[2], "I", rng.choice(UNKNOWN_VALUE_TYPES)), seed.file_bytes


def shape_key_of_another_type(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    """A number that the spec needs becomes a float, a text or an array."""
    wanted = ("block_count", "embedding_length", "context_length", "attention.head_count")
    places = [place for name, _, place, _ in seed.keys if name.partition(".")[2] in wanted]
    return put(seed.header, rng.choice(places), "I", rng.choice((6, 8, 9))), seed.file_bytes


def absurd_array_length(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    arrays = [place for _, _, place, is_array in seed.keys if is_array]
    return put(seed.header, rng.choice(arrays) + 8, "Q", huge(rng)), seed.file_bytes


def array_of_arrays_or_of_nothing_known(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    arrays = [place for _, _, place, is_array in seed.keys if is_array]
    return put(seed.header, rng.choice(arrays) + 4, "I", rng.choice((9, *UNKNOWN_VALUE_TYPES))), seed.file_bytes


def key_given_twice(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    number = rng.randrange(len(seed.keys) - 1)
    start, end = seed.keys[number][1], seed.keys[number + 1][1]
    doubled = seed.header[:end] + seed.header[start:end] + seed.header[end:]
    return put(doubled, 16, "Q", len(seed.keys) + 1), seed.file_bytes + end - start


def absurd_dimensions(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return put(seed.header, rng.choice(seed.tensors)[1], "I", rng.randrange(5, 1 << 32)), seed.file_bytes


def absurd_extent(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    return put(seed.header, rng.choice(seed.tensors)[1] + 4, "Q", huge(rng)), seed.file_bytes


def unknown_tensor_type(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    place = _after_extents(seed, rng.choice(seed.tensors)[1])
    return put(seed.header, place, "I", rng.choice(UNKNOWN_TENSOR_TYPES)), seed.file_bytes


def tensor_outside_the_file(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    place = _after_extents(seed, rng.choice(seed.tensors)[1]) + 4
    return put(seed.header, place, "Q", rng.randrange(seed.file_bytes, 1 << 62) // 32 * 32), seed.file_bytes


def tensor_between_the_grid(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    place = _after_extents(seed, rng.choice(seed.tensors)[1]) + 4
    return put(seed.header, place, "Q", rng.randrange(1, 32)), seed.file_bytes


def tensors_on_top_of_each_other(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    one, other = rng.sample(seed.tensors, 2)
    taken = struct.unpack_from("<Q", seed.header, _after_extents(seed, other[1]) + 4)[0]
    return put(seed.header, _after_extents(seed, one[1]) + 4, "Q", taken), seed.file_bytes


def _after_extents(seed: Seed, dimension_count_at: int) -> int:
    dimensions: int = struct.unpack_from("<I", seed.header, dimension_count_at)[0]
    return dimension_count_at + 4 + 8 * dimensions


def flipped_bytes(seed: Seed, rng: random.Random) -> tuple[bytes, int]:
    content = bytearray(seed.header)
    # Half of them where the small fields are: the long vocabulary would swallow nearly all otherwise.
    end = rng.choice((min(2_000, len(content)), len(content)))
    for _ in range(rng.randrange(1, 9)):
        content[rng.randrange(4, end)] ^= rng.randrange(1, 256)
    return bytes(content), seed.file_bytes


STRUCTURED: tuple[Mutation, ...] = (
    cut_inside_the_header,
    cut_inside_the_weights,
    absurd_tensor_count,
    absurd_key_count,
    more_keys_than_there_are,
    wrong_version,
    absurd_key_length,
    unknown_value_type,
    shape_key_of_another_type,
    absurd_array_length,
    array_of_arrays_or_of_nothing_known,
    key_given_twice,
    absurd_dimensions,
    absurd_extent,
    unknown_tensor_type,
    tensor_outside_the_file,
    tensor_between_the_grid,
    tensors_on_top_of_each_other,
)
FAMILIES: tuple[tuple[str, dict[str, Setting]], ...] = (
    ("llama", {}),
    ("gemma3", {"attention.sliding_window": 512}),
    ("deepseek2", {"attention.kv_lora_rank": 512, "attention.key_length_mla": 192, "rope.dimension_count": 64}),
    ("qwen3moe", {"expert_count": 8, "expert_used_count": 2}),
)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seed, ...]:
    directory = tmp_path_factory.mktemp("seeds")
    general: dict[str, Setting] = {"tokenizer.ggml.tokens": [f"token-{n}" for n in range(40)]}
    small = [
        read_seed(write_gguf(directory / f"{family}.gguf", family, {**DENSE, **shape}, general))
        for family, shape in FAMILIES
    ]
    return (read_seed(smollm2_path()), *small)


def cases(seeds: tuple[Seed, ...]) -> Iterator[tuple[int, Seed, Mutation]]:
    """216 structured mutations, then 84 flips. The real header is long: it gets every eighteenth case."""
    real, *small = seeds
    for number in range(300):
        mutate = STRUCTURED[number % len(STRUCTURED)] if number < 216 else flipped_bytes
        yield number, real if number % 18 == number // 18 else small[number % len(small)], mutate


def test_every_seed_is_good_before_it_is_damaged(seeds: tuple[Seed, ...]) -> None:
    for seed in seeds:
        assert isinstance(outcome(seed.header, seed.file_bytes), ModelSpec), seed.name


def test_300_damaged_headers_end_in_errors_or_harmlessly_and_in_bounded_memory(seeds: tuple[Seed, ...]) -> None:
    refused = 0
    tracemalloc.start()
    try:
        for number, seed, mutate in cases(seeds):
            content, file_bytes = mutate(seed, random.Random(number))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            result = outcome(content, file_bytes)
            case = f"case {number}: {mutate.__name__} of {seed.name}"
            assert tracemalloc.get_traced_memory()[1] - before < MEMORY_LIMIT_BYTES, case
            assert isinstance(result, GgufError) or mutate is flipped_bytes, f"{case} was accepted"
            refused += isinstance(result, GgufError)
    finally:
        tracemalloc.stop()

    assert refused >= 216

"""400 damaged model folders: each ends in a clear error or, where the damage is harmless, in a valid spec.

Structured mutations of the weights' headers must always end in an error; settings may be replaced by anything, and only
the model's readers' own error may come out. Memory is bounded in every case. All is seeded, so a failure names a case
that can be run again.
"""

import io
import json
import os
import random
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inventory.catalog import ModelSpec
from inventory.folder_file import read_folder
from inventory.folder_files import CONFIG, INDEX
from inventory.folder_spec import READ_WHOLE, FolderContent, spec_of_folder
from inventory.model_error import ModelFileError
from inventory.safetensors_header import parse_header
from support.folder_files import LLAMA, TENSORS, Shapes, safetensors_bytes, write_folder, write_sharded

MEMORY_LIMIT_BYTES = 16 << 20
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Seed:
    """A good folder in memory: the contents of its files by name."""

    name: str
    files: Mapping[str, bytes]

    def with_file(self, name: str, content: bytes) -> "Seed":
        return replace(self, files={**self.files, name: content})


Mutation = Callable[[Seed, random.Random], Seed]


def outcome(seed: Seed) -> ModelSpec | ModelFileError:
    """What reading the folder does, without a disk."""
    weights = {name: content for name, content in seed.files.items() if name.endswith(".safetensors")}
    try:
        headers = {name: parse_header(io.BytesIO(held), name, len(held)) for name, held in weights.items()}
        texts = {name: seed.files[name] for name in READ_WHOLE if name in seed.files}
        return spec_of_folder(FolderContent("model", frozenset(seed.files), texts, headers, None))[1]
    except ModelFileError as error:
        return error


def header_of(content: bytes) -> dict[str, dict[str, list[int]]]:
    """Walks a good file without any check: what the code under test must not do."""
    found: dict[str, dict[str, list[int]]] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found.pop("__metadata__", None)
    return found


def with_header(seed: Seed, rng: random.Random, change: Callable[[dict[str, dict[str, list[int]]]], object]) -> Seed:
    name = rng.choice([name for name in seed.files if name.endswith(".safetensors")])
    content = seed.files[name]
    header = header_of(content)
    change(header)
    text = json.dumps(header).encode()
    data = content[8 + int.from_bytes(content[:8], "little") :]
    return seed.with_file(name, len(text).to_bytes(8, "little") + text + data)


def some(header: dict[str, dict[str, list[int]]], rng: random.Random) -> dict[str, list[int]]:
    return header[rng.choice(sorted(header))]


def huge(rng: random.Random) -> int:
    return rng.choice((1 << 63, (1 << 64) - 1, rng.randrange(1 << 40, 1 << 62)))


def cut(seed: Seed, rng: random.Random) -> Seed:
    name = next(name for name in seed.files if name.endswith(".safetensors"))
    content = seed.files[name]
    return seed.with_file(name, content[: rng.randrange(len(content))])


def longer(seed: Seed, rng: random.Random) -> Seed:
    name = rng.choice([name for name in seed.files if name.endswith(".safetensors")])
    return seed.with_file(name, seed.files[name] + bytes(rng.randrange(1, 64)))


def absurd_header_length(seed: Seed, rng: random.Random) -> Seed:
    name = rng.choice([name for name in seed.files if name.endswith(".safetensors")])
    return seed.with_file(name, huge(rng).to_bytes(8, "little") + seed.files[name][8:])


def absurd_extent(seed: Seed, rng: random.Random) -> Seed:
    return with_header(seed, rng, lambda header: some(header, rng)["shape"].append(huge(rng)))


def moved_tensor(seed: Seed, rng: random.Random) -> Seed:
    def move(header: dict[str, dict[str, list[int]]]) -> None:
        entry, by = some(header, rng), rng.choice((1, 4096, huge(rng)))
        entry["data_offsets"] = [place + by for place in entry["data_offsets"]]

    return with_header(seed, rng, move)


def tensors_on_top_of_each_other(seed: Seed, rng: random.Random) -> Seed:
    def stack(header: dict[str, dict[str, list[int]]]) -> None:
        names = sorted(header)
        header[names[0]] = header[names[-1]]

    return with_header(seed, rng, stack)


def unknown_type(seed: Seed, rng: random.Random) -> Seed:
    unknown: tuple[object, ...] = ("Q4_0", "", None, 7, [])
    return with_header(seed, rng, lambda header: some(header, rng).update(dtype=rng.choice(unknown)))  # type: ignore[call-overload]  # wrong on purpose


def lost_tensor(seed: Seed, rng: random.Random) -> Seed:
    return with_header(seed, rng, lambda header: header.pop(rng.choice(sorted(header))))


def lost_field(seed: Seed, rng: random.Random) -> Seed:
    field = rng.choice(("dtype", "shape", "data_offsets"))
    return with_header(seed, rng, lambda header: some(header, rng).pop(field))


def settings_of_another_kind(seed: Seed, rng: random.Random) -> Seed:
    """Anything under any key, at any depth: not always an error, never a crash."""
    values: tuple[object, ...] = (
        *(None, True, -1, 0, 1, 3, huge(rng), 1 << 4000, 0.5, 1e308, float("nan"), "", "x" * 70_000, "\x00", [], {}),
        *([[]] * 9, [1, "a"], ["sliding_attention"] * 5000, {"a": {"b": []}}, {"bits": 3}),
    )
    name = rng.choice([name for name in seed.files if name.endswith(".json") and name != "tokenizer.json"])
    content: dict[str, object] = json.loads(seed.files[name])
    place, key = content, rng.choice(sorted(content) or ["model_type"])
    inner = place[key]
    while isinstance(inner, dict) and inner and rng.random() < 0.7:
        place, key = inner, rng.choice(sorted(inner))
        inner = place[key]
    place[key] = rng.choice(values)
    return seed.with_file(name, json.dumps(content).encode())


def flipped_bytes(seed: Seed, rng: random.Random) -> Seed:
    name = rng.choice(sorted(seed.files))
    content = bytearray(seed.files[name])
    for _ in range(rng.randrange(1, 9)):
        content[rng.randrange(min(len(content), 1500))] ^= rng.randrange(1, 256)
    return seed.with_file(name, bytes(content))


def nested(seed: Seed, rng: random.Random) -> Seed:
    name = rng.choice([name for name in seed.files if name.endswith(".json") and name != "tokenizer.json"])
    opening = rng.choice((b"[", b'{"a":'))
    return seed.with_file(name, opening * rng.randrange(10_000, 200_000))


def doubled_key(seed: Seed, rng: random.Random) -> Seed:
    content = seed.files[CONFIG]
    return seed.with_file(CONFIG, b'{"model_type": "llama", ' + content.lstrip()[1:])


STRUCTURED: tuple[Mutation, ...] = (
    cut,
    longer,
    absurd_header_length,
    absurd_extent,
    moved_tensor,
    tensors_on_top_of_each_other,
    unknown_type,
    lost_tensor,
    lost_field,
    nested,
    doubled_key,
)
HARMLESS_AT_TIMES: tuple[Mutation, ...] = (settings_of_another_kind, flipped_bytes)
QUANTISED: Shapes = {
    "model.embed_tokens.weight": ("U32", (32, 16)),
    "model.embed_tokens.scales": ("BF16", (32, 1)),
    "model.layers.0.self_attn.k_proj.weight": ("U32", (32, 8)),
    "model.layers.1.linear_attn.A_log": ("F32", (4,)),
}
LATENT = {"kv_lora_rank": 16, "qk_rope_head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2}
MIXED = {
    "text_config": {**LLAMA, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
    "rope_scaling": {"type": "yarn", "factor": 2.0},
    "quantization": {"bits": 4, "group_size": 64, "model.embed_tokens": {"bits": 8, "group_size": 64}},
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_conv_kernel_dim": 4,
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Seed, ...]:
    directory = tmp_path_factory.mktemp("seeds")
    folders = (
        write_folder(directory / "plain"),
        write_folder(directory / "latent", LATENT, {**TENSORS, "x": ("U8", (3,))}),
        write_folder(directory / "mixed", MIXED, QUANTISED, "mlx"),
        write_sharded(directory / "sharded", 2),
    )
    return tuple(
        Seed(folder.name, {path.name: path.read_bytes() for path in sorted(folder.iterdir())}) for folder in folders
    )


def test_every_seed_is_good_before_it_is_damaged(seeds: tuple[Seed, ...]) -> None:
    for seed in seeds:
        assert isinstance(outcome(seed), ModelSpec), seed.name


def test_400_damaged_folders_end_in_errors_or_harmlessly_and_in_bounded_memory(seeds: tuple[Seed, ...]) -> None:
    tracemalloc.start()
    try:
        for number in range(400):
            mutate = STRUCTURED[number % 11] if number < 220 else HARMLESS_AT_TIMES[number % 2]
            seed = mutate(seeds[number % len(seeds)], random.Random(number))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            result = outcome(seed)
            case = f"case {number}: {mutate.__name__} of {seed.name}"
            assert tracemalloc.get_traced_memory()[1] - before < MEMORY_LIMIT_BYTES, case
            assert isinstance(result, ModelFileError) or mutate in HARMLESS_AT_TIMES, f"{case} was accepted"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [CONFIG, INDEX, "tokenizer_config.json"])
def test_a_huge_settings_file_is_refused_unread(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "model")
    with (folder / name).open("wb") as file:
        file.truncate(64 << 30)  # sparse

    with pytest.raises(ModelFileError, match="the limit is"):
        read_folder("model", {path.name: path for path in folder.iterdir()})


def test_a_pipe_in_the_place_of_weights_blocks_nobody(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)

    with pytest.raises(ModelFileError, match="not a regular file"):
        read_folder("model", {path.name: path for path in folder.iterdir()})


def test_the_smallest_entries_that_fill_a_header_cost_bounded_memory() -> None:
    content = safetensors_bytes({f"t{number}": ("U8", (0,)) for number in range(3_000)})
    tracemalloc.start()
    try:
        parse_header(io.BytesIO(content), "model", len(content))
        assert tracemalloc.get_traced_memory()[1] < 16 * len(content)
    finally:
        tracemalloc.stop()

"""Small GGUF files for tests, written by the format's own library, with a few bytes of weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy

Setting = int | float | bool | str | Sequence[int] | Sequence[bool] | Sequence[str]

DENSE: dict[str, Setting] = {
    "block_count": 2,
    "context_length": 4096,
    "embedding_length": 64,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
}


def write_gguf(
    path: Path,
    architecture: str = "llama",
    shape: Mapping[str, Setting] | None = None,
    general: Mapping[str, Setting] | None = None,
    tensors: Sequence[str] = ("token_embd.weight", "blk.0.attn_k.weight", "blk.1.attn_k.weight", "output.weight"),
) -> Path:
    """One file: `shape` keys get the architecture's prefix, `general` keys are written as they are."""
    writer = gguf.GGUFWriter(path, architecture)
    for key, setting in (DENSE if shape is None else shape).items():
        _add(writer, f"{architecture}.{key}", setting)
    for key, setting in (general or {}).items():
        _add(writer, key, setting)
    for number, name in enumerate(tensors):
        writer.add_tensor(name, numpy.full((8, 32), number, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_split(directory: Path, stem: str, parts: int) -> tuple[Path, ...]:
    """A model in several parts, as llama-gguf-split writes it: the first part holds the metadata."""
    paths = []
    for number in range(parts):
        split: dict[str, Setting] = {"split.no": number, "split.count": parts, "split.tensors.count": parts}
        name = f"{stem}-{number + 1:05d}-of-{parts:05d}.gguf"
        shape = DENSE if number == 0 else {}
        paths.append(write_gguf(directory / name, "llama", shape, split, (f"blk.{number}.attn_k.weight",)))
    return tuple(paths)


def _add(writer: gguf.GGUFWriter, key: str, setting: Setting) -> None:
    if isinstance(setting, bool):
        writer.add_bool(key, setting)
    elif isinstance(setting, int):
        writer.add_uint32(key, setting)
    elif isinstance(setting, float):
        writer.add_float32(key, setting)
    elif isinstance(setting, str):
        writer.add_string(key, setting)
    else:
        writer.add_array(key, list(setting))

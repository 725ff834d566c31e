"""Which files of a folder make a model: a list of names in; weights, settings or a reason against it out.

Only names on the list below ever enter the store. A pickle runs code when it is loaded and a .py file is code, so
neither is on it, and an engine that opens a stored folder finds nothing to run.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from inventory.model_error import FolderError

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
MAX_INDEX_BYTES = 32 << 20
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
_TOKENIZERS = frozenset({"tokenizer.model", "tiktoken.model", "spiece.model", "sentencepiece.bpe.model"})
_SETTINGS = (".json", ".jinja", ".txt")
_POOLING = re.compile(r"\d{1,2}_(Pooling|Normalize)")  # directories that say how an embedding model makes one vector


class _Index(msgspec.Struct, frozen=True):
    weight_map: dict[str, str]


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """Names relative to the folder. `weights` are in the order in which they are to be read."""

    weights: tuple[str, ...]
    settings: tuple[str, ...]


def is_wanted(name: str) -> bool:
    """Whether a file of this name may be part of a model folder at all."""
    directory, slash, rest = name.rpartition("/")
    if slash:
        return rest == CONFIG and is_pooling_directory(directory)
    plain = not name.startswith(".") and "\\" not in name and name.isprintable()
    return plain and (name.endswith((".safetensors", *_SETTINGS)) or name in _TOKENIZERS)


def is_pooling_directory(name: str) -> bool:
    return _POOLING.fullmatch(name) is not None


def parse_index(content: bytes, path: str) -> Mapping[str, str]:
    """Which file holds which tensor. Raises FolderError."""
    if len(content) > MAX_INDEX_BYTES:
        raise FolderError(path, f"it has {len(content)} bytes; the limit is {MAX_INDEX_BYTES}")
    try:
        return msgspec.json.decode(content, type=_Index).weight_map
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FolderError(path, f"it does not say which file holds which tensor: {error}") from None


def choose_files(path: str, names: Collection[str], index: Mapping[str, str] | None) -> FolderFiles:
    """Weights are what the index names; without one, model.safetensors, or the only file of weights there is."""
    if CONFIG not in names:
        raise FolderError(path, f"it holds no {CONFIG}")
    present = sorted(name for name in names if is_wanted(name))
    shards = [name for name in present if name.endswith(".safetensors")]
    if index is not None:
        weights = tuple(sorted(set(index.values())))
        if missing := [name for name in weights if name not in shards]:
            raise FolderError(path, f"{INDEX} names weights that are not there: {', '.join(missing[:8])}")
    elif "model.safetensors" in shards:
        weights = ("model.safetensors",)
    else:
        weights = tuple(shards)
        if len(weights) > 1:
            raise FolderError(path, f"it holds {len(weights)} files of weights and no {INDEX} that joins them")
    if not weights:
        raise FolderError(path, f"{_why_no_weights(names)}")
    return FolderFiles(weights, tuple(name for name in present if not name.endswith(".safetensors")))


def _why_no_weights(names: Collection[str]) -> str:
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    if pickles:
        return f"its weights are pickled ({pickles[0]}), which can run code when loaded; potluck never opens those"
    return "it holds no .safetensors file"

"""Model folders on disk: opens files and hands what they hold to the pure reader."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from inventory.catalog import ModelSpec
from inventory.config_facts import MAX_CONFIG_BYTES
from inventory.folder_files import CONFIG, INDEX, MAX_INDEX_BYTES, FolderFiles, choose_files
from inventory.folder_spec import (
    MAX_TEXT_BYTES,
    READ_WHOLE,
    FolderContent,
    FolderFormat,
    check_settings,
    index_of,
    spec_of_folder,
)
from inventory.model_error import FolderError
from inventory.safetensors_header import SafetensorsHeader, parse_header

_LIMITS = {CONFIG: MAX_CONFIG_BYTES, INDEX: MAX_INDEX_BYTES}
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tiktoken.model", "spiece.model", "sentencepiece.bpe.model")
MAX_TOKENIZER_BYTES = 256 << 20


def read_folder(shown_as: str, files: Mapping[str, Path]) -> tuple[FolderFormat, ModelSpec]:
    """The model in these files, by the names they have in its folder. Raises ModelFileError, OSError.

    A file that is no part of it is an error: what an engine opens holds nothing that nobody looked at.
    """
    texts = _texts(shown_as, files)
    chosen = choose_files(shown_as, files.keys(), index_of(texts, shown_as))
    if strange := sorted(files.keys() - {*chosen.weights, *chosen.settings}):
        raise FolderError(shown_as, f"{strange[0]} is no part of a model folder")
    headers = {name: _header(files[name], f"{shown_as}/{name}") for name in chosen.weights}
    return spec_of_folder(FolderContent(shown_as, frozenset(files), texts, headers, _tokenizer_hash(shown_as, files)))


def choose_folder_files(shown_as: str, files: Mapping[str, Path]) -> FolderFiles:
    """Which of these files make the model. Raises FolderError, OSError."""
    wanted = {name: path for name, path in files.items() if name == INDEX}
    return choose_files(shown_as, files.keys(), index_of(_texts(shown_as, wanted), shown_as))


def check_folder_settings(shown_as: str, files: Mapping[str, Path]) -> None:
    """Whether the settings alone forbid the model, before its weights are here. Raises FolderError, OSError."""
    check_settings(shown_as, _texts(shown_as, files))


def _texts(shown_as: str, files: Mapping[str, Path]) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    for name in READ_WHOLE:
        if name in files:
            limit = _LIMITS.get(name, MAX_TEXT_BYTES)
            with _opened(files[name], f"{shown_as}/{name}") as (file, size_bytes):
                if size_bytes > limit:
                    raise FolderError(f"{shown_as}/{name}", f"it has {size_bytes} bytes; the limit is {limit}")
                texts[name] = file.read(limit + 1)
    return texts


def _header(path: Path, shown_as: str) -> SafetensorsHeader:
    with _opened(path, shown_as) as (file, size_bytes):
        return parse_header(file, shown_as, size_bytes)


def _tokenizer_hash(shown_as: str, files: Mapping[str, Path]) -> str | None:
    """Of the file that splits text into tokens; the chat template has a hash of its own."""
    name = next((name for name in _TOKENIZERS if name in files), None)
    if name is None:
        return None
    with _opened(files[name], f"{shown_as}/{name}") as (file, size_bytes):
        if size_bytes > MAX_TOKENIZER_BYTES:
            raise FolderError(f"{shown_as}/{name}", f"it has {size_bytes} bytes; the limit is {MAX_TOKENIZER_BYTES}")
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: Path, shown_as: str) -> Iterator[tuple[BufferedReader, int]]:
    # O_NONBLOCK: a named pipe would otherwise block here until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise FolderError(shown_as, "it is not a regular file")
        yield file, facts.st_size

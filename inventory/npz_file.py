"""Sentence encoders on disk: opens their files and hands what they hold to the pure reader. Unpacks nothing."""

import errno
import hashlib
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from inventory.catalog import ModelSpec
from inventory.npz_spec import (
    HEAD_BYTES,
    TOKENIZER,
    WEIGHTS,
    NpzArray,
    NpzError,
    header_bytes,
    parse_array,
    spec_of_arrays,
)

MAX_ARRAYS = 256
MAX_TOKENIZER_BYTES = 64 << 20
_NOT_READABLE = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError, ValueError)


def read_npz(shown_as: str, files: Mapping[str, Path]) -> ModelSpec:
    """The encoder in these files, by the names they have in its folder. Raises NpzError, OSError."""
    known = {WEIGHTS, TOKENIZER}
    if missing := sorted(known - files.keys()):
        raise NpzError(shown_as, f"{missing[0]} is missing")
    if strange := sorted(files.keys() - known):
        raise NpzError(shown_as, f"{strange[0]} is no part of an encoder")
    arrays = _arrays(files[WEIGHTS], f"{shown_as}/{WEIGHTS}")
    return spec_of_arrays(shown_as, arrays, _hash(files[TOKENIZER], f"{shown_as}/{TOKENIZER}"))


def _arrays(path: Path, shown_as: str) -> dict[str, NpzArray]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if not 0 < len(entries) <= MAX_ARRAYS:
                raise NpzError(shown_as, f"it holds {len(entries)} arrays; from 1 to {MAX_ARRAYS} are read")
            found = {entry.filename.removesuffix(".npy"): _array(archive, entry, shown_as) for entry in entries}
    except _NOT_READABLE as error:
        raise NpzError(shown_as, f"it is no readable zip file: {error}") from None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise NpzError(shown_as, "it is no readable zip file: an array begins before the file does") from None
    if len(found) != len(entries):
        raise NpzError(shown_as, "it names an array twice")
    return found


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, shown_as: str) -> NpzArray:
    with archive.open(entry) as file:
        length = header_bytes(file.read(HEAD_BYTES))
        array = parse_array(file.read(length))
    if array is None:
        raise NpzError(shown_as, f"{entry.filename!r} is no array of plain numbers")
    if entry.file_size != HEAD_BYTES + length + array.size_bytes:
        raise NpzError(shown_as, f"{entry.filename!r} has not the size that its header tells")
    return array


def _hash(path: Path, shown_as: str) -> str:
    if path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise NpzError(shown_as, f"it has more than {MAX_TOKENIZER_BYTES} bytes")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

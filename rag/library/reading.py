"""From a file as it lies on the disk to what is put into the store: its bytes, their hash, its text in chunks."""

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from cluster.knowledge import Attribute
from cluster.pii.policy import Policy
from rag.library.rows import FileRow
from rag.parsing.values import MOST_BYTES
from rag.values import NewChunk, NewDocument

NUMBER_BYTES = 2  # each number of a vector takes, as stores keep it
MEGABYTE = 1_000_000


ProblemCode = Literal["unsupported_file", "invalid_file", "server_error"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file cannot be read. `passing`: it may be read later, as it is."""

    code: ProblemCode
    text: str
    passing: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """`content_hash` is over the bytes, how they are to be cut, and what the space and the reader's key say of personal
    data. `classes`: privacy classes that bind it."""

    row: FileRow
    content: bytes
    content_hash: str
    classes: frozenset[str] = frozenset()
    space_pii: Policy | None = None  # what its space says of personal data

    @property
    def unchanged(self) -> bool:
        return self.row.version > 0 and self.row.content_hash == self.content_hash


@dataclass(frozen=True, slots=True)
class Parsed:
    """`attributes` is what the file says of itself."""

    title: str
    media_type: str
    language: str
    attributes: Mapping[str, Attribute]
    chunks: tuple[NewChunk, ...]


class Parsing(Protocol):
    async def parse(self, loaded: Loaded) -> Parsed | Problem: ...


def size_of(row: FileRow) -> int:
    """0 where it is not there, which `load` says. Blocks."""
    try:
        return min(Path(row.path).stat().st_size, MOST_BYTES)
    except OSError:
        return 0


def load(row: FileRow, classes: frozenset[str], space_pii: Policy | None = None) -> Loaded | Problem:
    """Blocks."""
    path = Path(row.path)
    try:
        content = _content(path, row.source)
    except FileNotFoundError:
        return Problem("server_error", f"{path.name} is not where it was; add it again", passing=False)
    except OSError as error:
        return Problem("server_error", f"{path.name} cannot be read: {error.strerror}", passing=True)
    if len(content) > MOST_BYTES:
        text = f"{row.name} has more than {MOST_BYTES // MEGABYTE} MB; split it into several files"
        return Problem("invalid_file", text, passing=False)
    return Loaded(row, content, _hash(row, content, space_pii), classes, space_pii)


def _content(path: Path, folder: str | None) -> bytes:
    """Of a plain file that is no link, nor behind one that leads out of its folder: it may have been changed since
    somebody looked. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no file any more", str(path))
        if folder is not None and Path(folder) not in path.resolve().parents:
            raise OSError(errno.EXDEV, "it leads out of its folder", str(path))
        return file.read(MOST_BYTES + 1)


def documented(loaded: Loaded, parsed: Parsed, numbers: int, data_class: str) -> NewDocument:
    """What goes into the store, but for its vectors, which have so many numbers together. `data_class`: the space's."""
    row = loaded.row
    size_bytes = sum(len(one.text.encode()) for one in parsed.chunks) + numbers * NUMBER_BYTES
    return NewDocument(
        row.document, loaded.content_hash, parsed.title or row.name, parsed.media_type, parsed.language,
        data_class, parsed.attributes, size_bytes,
    )  # fmt: skip


def embedded_text(chunk: NewChunk) -> str:
    """What a vector is made of: a chunk alone does not say what it is about."""
    return f"{chunk.heading}\n{chunk.text}" if chunk.heading else chunk.text


def _hash(row: FileRow, content: bytes, space_pii: Policy | None) -> str:
    hashed, cut_otherwise = hashlib.sha256(content).hexdigest(), row.chunking
    if cut_otherwise is not None:
        hashed = f"{hashed}:{cut_otherwise.most_tokens}:{cut_otherwise.overlap_tokens}"
    said = (row.reader.pii, space_pii)
    return hashed if said == (None, None) else f"{hashed}:{said[0]}:{said[1]}"

"""What the room speaks of: spaces, documents, their versions, chunks, and what a question found. Pure.

A tenant has spaces, a space has documents, a document has versions, a version has chunks. A document is known by its
name within its space (a path, a message id); a version by a number that counts from 1.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cluster.knowledge import Attribute, Locator

Vectors: TypeAlias = npt.NDArray[np.float32]
"""[texts, dimensions], each row of length 1."""

_NAMES = uuid.UUID("5f9a3c52-52d0-4e0c-9c8b-6f6a3f0b7f11")  # of this project's own


@dataclass(frozen=True, slots=True)
class SpaceId:
    tenant: str
    name: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.name}"


@dataclass(frozen=True, slots=True)
class Space:
    """`encoder` names the model, with its revision, that made the vectors: others do not compare with them."""

    space_id: SpaceId
    encoder: str
    dimensions: int
    data_class: str
    made_s: float  # wall time
    description: str = ""


NOWHERE = Locator()


@dataclass(frozen=True, slots=True)
class NewChunk:
    """`start` and `end` count characters of the document's clean text."""

    text: str
    start: int
    end: int
    locator: Locator = NOWHERE
    heading: str = ""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document as it is now. `content_hash` is over the bytes it was read from. `size_bytes` is what it takes in the
    store: its texts and vectors."""

    name: str
    content_hash: str
    title: str
    media_type: str
    language: str  # ISO 639-1; "" where it could not be told
    data_class: str
    attributes: Mapping[str, Attribute]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Version:
    """One that was written. It holds from `made_s` until `ended_s`: None while it is the newest."""

    space_id: SpaceId
    document_id: str
    number: int
    document: NewDocument
    made_s: float
    ended_s: float | None
    chunks: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """`ordinal` counts the chunks of its version from 0."""

    chunk_id: str
    ordinal: int
    content: NewChunk


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, whose it is, and why: both parts of its score as they were, None where it was not found
    that way."""

    chunk: Chunk
    version: Version
    score: float  # 0..1, relative to what else was found
    cosine: float | None
    bm25: float | None  # larger is better


def document_id_of(space_id: SpaceId, name: str) -> str:
    """The same for the same document in every store, so that it can move between them."""
    return str(uuid.uuid5(_NAMES, f"{space_id.tenant}\x00{space_id.name}\x00{name}"))


def chunk_id_of(document_id: str, number: int, ordinal: int) -> str:
    return str(uuid.uuid5(_NAMES, f"{document_id}\x00{number}\x00{ordinal}"))

"""Documents with vectors that a test can foresee, and the stores that they are put into."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cluster.knowledge import Attribute
from rag.stores.contract import Question, VectorStore
from rag.values import NewChunk, NewDocument, Space, SpaceId, Vectors, Version

DIMENSIONS = 16
ENCODER = "toy@1"


def space(name: str, tenant: str = "school") -> Space:
    return Space(SpaceId(tenant, name), ENCODER, DIMENSIONS, "private", 0.0)


def vector_of(text: str) -> npt.NDArray[np.float32]:
    """Texts that share words are near each other, whatever the language of the words."""
    vector = np.full(DIMENSIONS, 1e-3, dtype=np.float32)
    for word in text.lower().split():
        vector[hashlib.sha256(word.encode()).digest()[0] % DIMENSIONS] += 1.0
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def vectors_of(texts: Sequence[str]) -> Vectors:
    return np.stack([vector_of(text) for text in texts]) if texts else np.empty((0, DIMENSIONS), dtype=np.float32)


async def put(
    store: VectorStore,
    space_id: SpaceId,
    name: str,
    *texts: str,
    attributes: Mapping[str, Attribute] | None = None,
) -> Version:
    """A document of these chunks; its content is they."""
    whole = "\n".join(texts)
    hashed = hashlib.sha256(whole.encode()).hexdigest()
    document = NewDocument(name, hashed, name.upper(), "text/plain", "en", "private", attributes or {}, len(whole))
    starts = [len("\n".join(texts[:at])) + (at > 0) for at in range(len(texts))]
    chunks = [NewChunk(text, start, start + len(text)) for text, start in zip(texts, starts, strict=True)]
    return await store.put(space_id, document, chunks, vectors_of(texts))


def asking(text: str, limit: int = 5, **more: object) -> Question:
    return Question(text, vector_of(text), limit, **more)  # type: ignore[arg-type]  # a test names what it changes

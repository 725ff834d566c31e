"""Documents with vectors that a test can foresee, and the stores that they are put into."""

import hashlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cli.wire_rag import weaviate_place
from cluster.config_rag import WeaviateSection
from cluster.knowledge import Attribute
from inventory.clock import Clock
from rag.stores.contract import Question, VectorStore
from rag.stores.embedded import EmbeddedStore
from rag.stores.weaviate import WeaviateStore
from rag.stores.weaviate_client import WeaviatePlace
from rag.values import NewChunk, NewDocument, Space, SpaceId, Vectors, Version
from support.weaviate_wire import KEY, WeaviateWire, weaviate_wire

WEAVIATE = "POTLUCK_TEST_WEAVIATE_URL"
WEAVIATE_KEY_FILE, WEAVIATE_GRPC = "POTLUCK_TEST_WEAVIATE_KEY_FILE", "POTLUCK_TEST_WEAVIATE_GRPC"
STORES = (
    "embedded",
    "weaviate's wire",
    pytest.param(
        "weaviate", marks=pytest.mark.skipif(WEAVIATE not in os.environ, reason=f"{WEAVIATE} names no Weaviate to ask")
    ),
)
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


@asynccontextmanager
async def opened(name: str, folder: Path, clock: Clock) -> AsyncIterator[VectorStore]:
    """One of STORES, empty."""
    async with AsyncExitStack() as stack:
        if name == "embedded":
            store: VectorStore = EmbeddedStore(folder / "rag.db", clock)
        elif name == "weaviate":
            store = WeaviateStore(server_of_tests(), clock)
        else:
            store = WeaviateStore(place_of(await stack.enter_async_context(weaviate_wire()), folder), clock)
        try:
            yield store
        finally:
            if name == "weaviate":
                for tenant in ("school", "clinic"):
                    for one in await store.spaces(tenant):
                        await store.drop_space(one.space_id)
            await store.close()


def place_of(wire: WeaviateWire, folder: Path) -> WeaviatePlace:
    key = folder / "weaviate-key"
    key.touch(0o600)
    key.write_text(KEY)
    return WeaviatePlace("127.0.0.1", wire.http_port, False, "127.0.0.1", wire.grpc_port, key)


def server_of_tests() -> WeaviatePlace:
    """Collections of its own, so that nothing else on that server is touched."""
    key = os.environ.get(WEAVIATE_KEY_FILE)
    section = WeaviateSection.model_validate(
        {"url": os.environ[WEAVIATE], "grpc": os.environ.get(WEAVIATE_GRPC, "127.0.0.1:50051"), "api_key_file": key}
    )
    return replace(weaviate_place(section), prefix="PotluckTests")


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

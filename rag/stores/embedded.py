"""The store that needs no server: one SQLite file, and every vector looked at for each question."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from cluster.knowledge import Attribute
from inventory.clock import Clock
from rag.stores.contract import Question, WholeVersion
from rag.stores.embedded_reading import EmbeddedReader
from rag.stores.embedded_writing import EmbeddedWriter
from rag.values import Chunk, Hit, NewChunk, NewDocument, Space, SpaceId, Vectors, Version


class EmbeddedStore:
    """VectorStore over a file. Several processes may have it open: one writes at a time, and nobody waits to read."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Raises StoreError, ExposedSecretError."""
        self._writer = EmbeddedWriter(path, clock)
        self._reader = EmbeddedReader(path)

    async def make_space(self, space: Space) -> Space:
        return await asyncio.to_thread(self._writer.make_space, space)

    async def spaces(self, tenant: str) -> tuple[Space, ...]:
        return await asyncio.to_thread(self._reader.spaces, tenant)

    async def drop_space(self, space_id: SpaceId) -> bool:
        return await asyncio.to_thread(self._writer.drop_space, space_id)

    async def put(
        self, space_id: SpaceId, document: NewDocument, chunks: Sequence[NewChunk], vectors: Vectors
    ) -> Version:
        return await asyncio.to_thread(self._writer.put, space_id, document, chunks, vectors)

    async def describe(self, space_id: SpaceId, document_id: str, attributes: Mapping[str, Attribute]) -> bool:
        return await asyncio.to_thread(self._writer.describe, space_id, document_id, attributes)

    async def remove(self, space_id: SpaceId, document_id: str) -> bool:
        return await asyncio.to_thread(self._writer.remove, space_id, document_id)

    async def forget_versions(self, space_id: SpaceId, document_id: str, numbers: Collection[int]) -> int:
        return await asyncio.to_thread(self._writer.forget_versions, space_id, document_id, numbers)

    async def documents(self, space_id: SpaceId) -> tuple[Version, ...]:
        return await asyncio.to_thread(self._reader.documents, space_id)

    async def versions(self, space_id: SpaceId, document_id: str) -> tuple[Version, ...]:
        return await asyncio.to_thread(self._reader.versions, space_id, document_id)

    async def chunks(self, version: Version, first: int, last: int) -> tuple[Chunk, ...]:
        return await asyncio.to_thread(self._reader.chunks, version, first, last)

    async def search(self, space_ids: Sequence[SpaceId], question: Question) -> tuple[Hit, ...]:
        return await asyncio.to_thread(self._reader.search, space_ids, question)

    async def whole(self, version: Version) -> WholeVersion:
        return await asyncio.to_thread(self._reader.whole, version)

    async def restore(self, whole: WholeVersion) -> Version:
        return await asyncio.to_thread(self._writer.restore, whole)

    async def scrub(self, space_id: SpaceId) -> None:
        await asyncio.to_thread(self._writer.scrub, space_id)

    async def clean(self) -> None:
        await asyncio.to_thread(self._reader.forget)
        await asyncio.to_thread(self._writer.clean)

    async def close(self) -> None:
        await asyncio.to_thread(self._reader.close)
        await asyncio.to_thread(self._writer.close)

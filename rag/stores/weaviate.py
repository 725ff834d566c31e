"""The store that is a server: Weaviate, for more than a machine scans at each question.

**What is where.** A space is a tenant of two collections: of its documents (one object each, with all its versions),
and of its chunks (those of one encoder together). A collection without tenants knows which spaces there are. What lies
in one tenant is not found from another, and its words are counted by themselves.

**Nothing half-written is seen.** Chunks are written first; then the document's object, in one step, says that their
version is the newest, and when the one before it ended. A chunk whose version its document does not know, or no longer,
is no hit: others are asked for in its place. That chunks say themselves when they ended only spares the server work.
One process writes to a space at a time: two could give two versions one number.

**Why not `hybrid`.** It fuses within one tenant, and says one number for both parts. Here vectors and words are asked
for by themselves and fused by rag.fusion, the same rule: over several spaces, and with both parts as they were. Words
are compared as rag.words has them: without accents, long ones by their beginning, in no language's stemmer.

**Erasure.** Weaviate marks what is deleted, and its files keep the bytes until it tidies them. Dropping a space drops
its tenant, with its files: so what stays is copied out and back (rag.stores.rebuilding), and the old one dropped.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter as On
from weaviate.collections.classes.filters import FilterReturn

from cluster.knowledge import Attribute
from inventory.clock import Clock
from rag.fusion import fuse
from rag.stores.contract import (
    MOST_HITS,
    OtherEncoderError,
    OutOfOrderError,
    Question,
    StoreError,
    UnknownDocumentError,
    UnknownSpaceError,
    WholeVersion,
)
from rag.stores.rebuilding import rebuild
from rag.stores.weaviate_asking import MOST_RESULTS, Asking, Found
from rag.stores.weaviate_client import AT_ONCE, WeaviatePlace, WeaviateServer, save
from rag.stores.weaviate_values import (
    CHUNK,
    DOCUMENT,
    Collection,
    Properties,
    chunk_of,
    chunk_row,
    chunks_name,
    history_of,
    history_row,
    is_id,
    is_number,
    number,
    number_property,
    row_id,
    space_of,
    space_row,
    tenant_of,
)
from rag.values import (
    Chunk,
    Hit,
    NewChunk,
    NewDocument,
    Space,
    SpaceId,
    Vectors,
    Version,
    chunk_id_of,
    document_id_of,
)
from rag.words import beginnings

TRIES = 8  # of a question, while documents change under it
NUMBERS = 200  # attributes of a collection that the server compares as numbers; more are compared here


class WeaviateStore:
    """VectorStore over a server. It connects when it is first asked for something."""

    def __init__(self, place: WeaviatePlace, clock: Clock) -> None:
        self._server, self._clock = WeaviateServer(place), clock
        self._turns: defaultdict[SpaceId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._numbers: dict[str, set[str]] = {}

    async def make_space(self, space: Space) -> Space:
        with self._server.trouble():
            async with self._turns[space.space_id]:
                row = await self._row(space.space_id)
                if row is not None and not row["going"]:
                    found = space_of(row)
                    if (found.encoder, found.dimensions) != (space.encoder, space.dimensions):
                        raise OtherEncoderError(found, space.encoder, space.dimensions)
                    return found
                made = replace(space, made_s=self._clock.wall_s())
                if row is not None:
                    await self._finish_drop(space_of(row))
                for name, properties in (("Documents", DOCUMENT), (chunks_name(made), CHUNK)):
                    collection = await self._server.add(name, properties)
                    if not await collection.tenants.exists(tenant_of(made.space_id)):
                        await collection.tenants.create(tenant_of(made.space_id))
                await self._save_row(made, going=False)
                return made

    async def spaces(self, tenant: str) -> tuple[Space, ...]:
        with self._server.trouble():
            meant = On.by_property("tenant").equal(tenant) & On.by_property("going").equal(False)
            found = await (await self._server.spaces()).query.fetch_objects(filters=meant, limit=MOST_RESULTS)
            spaces = [space_of(one.properties) for one in found.objects]
            return tuple(sorted(spaces, key=lambda one: one.space_id.name))

    async def drop_space(self, space_id: SpaceId) -> bool:
        with self._server.trouble():
            async with self._turns[space_id]:
                row = await self._row(space_id)
                if row is None:
                    return False
                await self._save_row(space_of(row), going=True)
                await self._finish_drop(space_of(row))
                return True

    async def put(
        self, space_id: SpaceId, document: NewDocument, chunks: Sequence[NewChunk], vectors: Vectors
    ) -> Version:
        with self._server.trouble():
            async with self._turns[space_id]:
                space = await self._space(space_id)
                if vectors.shape != (len(chunks), space.dimensions):
                    raise ValueError(f"vectors of shape {vectors.shape} for {len(chunks)} chunks of {space.dimensions}")
                document_id = document_id_of(space_id, document.name)
                before = await self._history(space, document_id)
                now_s = self._clock.wall_s()
                if before:
                    if before[-1].document.content_hash == document.content_hash:
                        return before[-1]
                    now_s = max(now_s, before[-1].made_s)
                number = before[-1].number + 1 if before else 1
                version = Version(space_id, document_id, number, document, now_s, None, len(chunks))
                await self._commit(space, before, WholeVersion(version, tuple(chunks), vectors))
                return version

    async def restore(self, whole: WholeVersion) -> Version:
        told = whole.version
        with self._server.trouble():
            async with self._turns[told.space_id]:
                space = await self._space(told.space_id)
                before = await self._history(space, told.document_id)
                known = [one for one in before if one.number == told.number]
                if not known or known[0].document.content_hash != told.document.content_hash:
                    last = before[-1].number if before else 0
                    if last != whole.after:
                        raise OutOfOrderError(told, last)
                    await self._commit(space, before, whole)
                    return told
                ended_s = known[0].ended_s if told.ended_s is None else told.ended_s
                return await self._retold(space, before, replace(told, ended_s=ended_s))

    async def describe(self, space_id: SpaceId, document_id: str, attributes: Mapping[str, Attribute]) -> bool:
        """Not in one step: for a moment a filter may miss some of its chunks."""
        with self._server.trouble():
            async with self._turns[space_id]:
                space = await self._space(space_id)
                before = await self._history(space, document_id)
                if not before or before[-1].ended_s is not None:
                    return False
                document = replace(before[-1].document, attributes=attributes)
                await self._retold(space, before, replace(before[-1], document=document))
                return True

    async def remove(self, space_id: SpaceId, document_id: str) -> bool:
        """First it is no document any more, in one step; then its chunks go, until there is none left."""
        with self._server.trouble():
            async with self._turns[space_id]:
                space = await self._space(space_id)
                record = await self._record(space, document_id)
                if record is None:
                    return False
                if record:
                    await self._save_history(space, document_id, ())
                await self._forget_chunks(space, On.by_property("document_id").equal(document_id))
                await (await self._server.documents(space)).data.delete_by_id(document_id)
                return True

    async def forget_versions(self, space_id: SpaceId, document_id: str, numbers: Several[int]) -> int:
        """First its document knows them no more, in one step; then their chunks go."""
        with self._server.trouble():
            async with self._turns[space_id]:
                space = await self._space(space_id)
                history = await self._history(space, document_id)
                gone = [one for one in history[:-1] if one.number in numbers and one.ended_s is not None]
                mine = On.by_property("document_id").equal(document_id)
                if gone:
                    await self._save_history(space, document_id, [one for one in history if one not in gone])
                for one in gone:
                    await self._forget_chunks(space, mine & On.by_property("number").equal(one.number))
                return len(gone)

    async def documents(self, space_id: SpaceId) -> tuple[Version, ...]:
        with self._server.trouble():
            space = await self._space(space_id)
            found = [
                history[-1]
                async for one in (await self._server.documents(space)).iterator(cache_size=1000)
                if (history := history_of(space_id, str(one.uuid), one.properties))
            ]
            return tuple(sorted(found, key=lambda one: one.document.name))

    async def versions(self, space_id: SpaceId, document_id: str) -> tuple[Version, ...]:
        with self._server.trouble():
            history = await self._record(await self._space(space_id), document_id)
            if not history:
                raise UnknownDocumentError(space_id, document_id)
            return history

    async def chunks(self, version: Version, first: int, last: int) -> tuple[Chunk, ...]:
        with self._server.trouble():
            space = await self._space(version.space_id)
            found = await self._read(space, version, range(max(first, 0), min(last, version.chunks - 1) + 1))
            return tuple(chunk_of(version, one.properties) for one in found)

    async def whole(self, version: Version) -> WholeVersion:
        with self._server.trouble():
            space = await self._space(version.space_id)
            found = await self._read(space, version, range(version.chunks), vectors=True)
            history = await self._record(space, version.document_id)
            if len(found) != version.chunks or not history:
                raise UnknownDocumentError(version.space_id, version.document_id)
            before = max((one.number for one in history if one.number < version.number), default=0)
            vectors = np.array([one.vector["default"] for one in found], dtype=np.float32)
            chunks = tuple(chunk_of(version, one.properties).content for one in found)
            return WholeVersion(version, chunks, vectors.reshape(-1, space.dimensions), before)

    async def search(self, space_ids: Sequence[SpaceId], question: Question) -> tuple[Hit, ...]:
        found = Found()
        with self._server.trouble():
            for space_id in space_ids:
                space = await self._space(space_id)
                if question.vector is not None and question.vector.shape != (space.dimensions,):
                    raise ValueError(f"a vector of {question.vector.shape} for a space of {space.dimensions} numbers")
                found.add(await self._find(space, question))
        best = fuse(found.cosines, found.bm25s, question.alpha if question.vector is not None else 0.0)
        return tuple(
            Hit(*found.chunks[one.key], one.score, one.cosine, one.bm25)
            for one in best[: min(question.limit, MOST_HITS)]
        )

    async def scrub(self, space_id: SpaceId) -> None:
        await rebuild(self, space_id)

    async def clean(self) -> None:
        """Nothing is kept that is not of one space."""

    async def close(self) -> None:
        await self._server.close()

    async def _find(self, space: Space, question: Question) -> "Found":
        """Of one space. Where a document changed between its chunks and its object being read, both are read again,
        until it stands as it stood."""
        before: dict[str, tuple[Version, ...] | None] = {}
        for _ in range(TRIES):
            asking = Asking(space, question, await self._server.chunks(space), await self._server.documents(space))
            await asking.ask(beginnings(question.text), await self._numbers_of(asking.chunks))
            moved = {one: asking.histories.get(one) for one in asking.outdated}
            if not moved or moved == before:
                break
            before = moved
        return asking.found

    async def _commit(self, space: Space, before: Sequence[Version], whole: WholeVersion) -> None:
        version = whole.version
        chunks = await self._server.chunks(space)
        mine = On.by_property("document_id").equal(version.document_id)
        await self._forget_chunks(
            space, mine & On.by_property("number").equal(version.number)
        )  # of a try that broke off
        numbers = await self._learned(chunks, version.document.attributes)
        written = [
            (Chunk(chunk_id_of(version.document_id, version.number, ordinal), ordinal, chunk), vector.tolist())
            for ordinal, (chunk, vector) in enumerate(zip(whole.chunks, whole.vectors, strict=True))
        ]
        await _save_chunks(chunks, written, version, numbers)
        ended = [replace(before[-1], ended_s=version.made_s)] if before else []
        await self._save_history(space, version.document_id, [*before[:-1], *ended, version])
        for one in ended:
            await self._mark(space, one)

    async def _retold(self, space: Space, history: Sequence[Version], version: Version) -> Version:
        """One of them with another end, or other attributes."""
        changed = [version if one.number == version.number else one for one in history]
        await self._save_history(space, version.document_id, changed)
        await self._mark(space, version)
        return version

    async def _mark(self, space: Space, version: Version) -> None:
        """What its chunks say of their version, for the server's filters."""
        collection = await self._server.chunks(space)
        numbers = await self._learned(collection, version.document.attributes)
        found = await self._read(space, version, range(version.chunks), vectors=True)
        chunks = [(chunk_of(version, one.properties), one.vector["default"]) for one in found]
        await _save_chunks(collection, chunks, version, numbers)

    async def _read(self, space: Space, version: Version, ordinals: range, vectors: bool = False) -> list[Any]:
        """Those chunks of it, in order."""
        collection, found = await self._server.chunks(space), list[Any]()
        for at in range(0, len(ordinals), AT_ONCE):
            ids = [chunk_id_of(version.document_id, version.number, one) for one in ordinals[at : at + AT_ONCE]]
            answer = await collection.query.fetch_objects_by_ids(ids, limit=len(ids), include_vector=vectors)
            found += answer.objects
        return sorted(found, key=lambda one: int(one.properties["ordinal"]))

    async def _forget_chunks(self, space: Space, meant: FilterReturn) -> None:
        """The server takes a bounded number away at once."""
        collection = await self._server.chunks(space)
        while True:
            gone = await collection.data.delete_many(where=meant)
            if gone.failed:
                raise StoreError(f"Weaviate did not delete {gone.failed} chunks; remove it again")
            if gone.matches == 0:
                return

    async def _record(self, space: Space, document_id: str) -> tuple[Version, ...] | None:
        """None: there is no such document. Empty: it is being removed."""
        if not is_id(document_id):
            return None
        found = await (await self._server.documents(space)).query.fetch_object_by_id(document_id)
        return None if found is None else history_of(space.space_id, document_id, found.properties)

    async def _history(self, space: Space, document_id: str) -> tuple[Version, ...]:
        history = await self._record(space, document_id)
        if history == ():  # a removal broke off
            await self._forget_chunks(space, On.by_property("document_id").equal(document_id))
        return history or ()

    async def _save_history(self, space: Space, document_id: str, versions: Sequence[Version]) -> None:
        row = DataObject(properties=history_row(versions), uuid=document_id)
        await save(await self._server.documents(space), [row])

    async def _space(self, space_id: SpaceId) -> Space:
        """Raises UnknownSpaceError."""
        row = await self._row(space_id)
        if row is None or row["going"]:
            raise UnknownSpaceError(space_id)
        return space_of(row)

    async def _row(self, space_id: SpaceId) -> Properties | None:
        found = await (await self._server.spaces()).query.fetch_object_by_id(row_id(space_id))
        row: Properties | None = None if found is None else found.properties
        return row

    async def _save_row(self, space: Space, going: bool) -> None:
        row = DataObject(properties=space_row(space, going), uuid=row_id(space.space_id))
        await save(await self._server.spaces(), [row])

    async def _finish_drop(self, space: Space) -> None:
        tenant = tenant_of(space.space_id)
        for collection in (await self._server.chunks(space), await self._server.documents(space)):
            if await collection.tenants.exists(tenant):
                await collection.tenants.remove(tenant)
        await (await self._server.spaces()).data.delete_by_id(row_id(space.space_id))

    async def _numbers_of(self, collection: Collection) -> set[str]:
        """Properties that it has for attributes that are numbers. That another process made one is seen later: until
        then it is not asked by."""
        known = self._numbers.get(collection.name)
        if known is None:
            config = await collection.config.get(simple=True)
            known = {one.name for one in config.properties if one.name.startswith(number_property("")[:7])}
            self._numbers[collection.name] = known
        return known

    async def _learned(self, collection: Collection, attributes: Mapping[str, Attribute]) -> set[str]:
        """The same, with those of these attributes."""
        known = await self._numbers_of(collection)
        for name in sorted({number_property(key) for key, value in attributes.items() if is_number(value)} - known):
            if len(known) < NUMBERS:
                await collection.config.add_property(number(name))
                known.add(name)
        return known


async def _save_chunks(
    collection: Collection, chunks: Sequence[tuple[Chunk, list[float]]], version: Version, numbers: Set[str]
) -> None:
    objects = [
        DataObject(properties=chunk_row(version, one.ordinal, one.content, numbers), uuid=one.chunk_id, vector=vector)
        for one, vector in chunks
    ]
    await save(collection, objects)

"""One question to one space of the Weaviate store: what is near, what has its words, and which of it holds."""

from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from weaviate.classes.query import Filter as On
from weaviate.classes.query import MetadataQuery
from weaviate.collections.classes.filters import FilterReturn

from rag.filters import matches
from rag.stores.contract import Question
from rag.stores.weaviate_values import FOREVER, Collection, chunk_of, history_of, server_filter
from rag.values import Chunk, Space, Version

CANDIDATES = 100  # of each kind, that are weighed against each other
MOST_RESULTS = 10_000  # of one question: the server's own limit
AT_ONCE = 100  # objects of a request
WEIGHED = ["words_heading^2", "words_text"]


@dataclass(slots=True)
class Found:
    """By the number that a chunk's id is."""

    cosines: dict[int, float] = field(default_factory=dict)
    bm25s: dict[int, float] = field(default_factory=dict)
    chunks: dict[int, tuple[Chunk, Version]] = field(default_factory=dict)

    def add(self, other: "Found") -> None:
        self.cosines |= other.cosines
        self.bm25s |= other.bm25s
        self.chunks |= other.chunks


@dataclass(slots=True)
class Asking:
    """One question to one space, once. `outdated`: documents of which a chunk came that does not hold."""

    space: Space
    question: Question
    chunks: Collection
    documents: Collection
    found: Found = field(default_factory=Found)
    histories: dict[str, tuple[Version, ...]] = field(default_factory=dict)
    outdated: set[str] = field(default_factory=set)

    async def ask(self, words: str, numbers: Set[str]) -> None:
        query, vector, meant = self.chunks.query, self.question.vector, self._meant(numbers)
        if vector is not None:
            near = [float(value) for value in vector]
            answer = MetadataQuery(distance=True)
            for one in await self._holding(
                lambda limit: query.near_vector(near, limit=limit, filters=meant, return_metadata=answer)
            ):
                self.found.cosines[one.uuid.int] = 1.0 - (one.metadata.distance or 0.0)
        if words:
            for one in await self._holding(
                lambda limit: query.bm25(
                    words, query_properties=WEIGHED, limit=limit, filters=meant, include_vector=vector is not None,
                    return_metadata=MetadataQuery(score=True),
                )
            ):  # fmt: skip
                self.found.bm25s[one.uuid.int] = one.metadata.score or 0.0
                if vector is not None and one.uuid.int not in self.found.cosines:
                    self.found.cosines[one.uuid.int] = float(np.float32(one.vector["default"]) @ vector)

    async def _holding(self, ask: Callable[[int], Awaitable[Any]]) -> list[Any]:
        """As many as are weighed; more are asked for while others, which do not hold or are not meant, come first."""
        limit = CANDIDATES
        while True:
            objects = (await ask(limit)).objects
            await self._learn({one.properties["document_id"] for one in objects} - self.histories.keys())
            holding = [one for one in objects if self._holds(one)]
            if len(holding) >= CANDIDATES or len(objects) < limit or limit == MOST_RESULTS:
                return holding[:CANDIDATES]
            limit = min(4 * limit, MOST_RESULTS)

    async def _learn(self, document_ids: Set[str]) -> None:
        wanted = sorted(document_ids)
        for at in range(0, len(wanted), AT_ONCE):
            part = wanted[at : at + AT_ONCE]
            for one in (await self.documents.query.fetch_objects_by_ids(part, limit=len(part))).objects:
                self.histories[str(one.uuid)] = history_of(self.space.space_id, str(one.uuid), one.properties)

    def _holds(self, one: Any) -> bool:
        document_id, number = one.properties["document_id"], one.properties["number"]
        version = next((known for known in self.histories.get(document_id, ()) if known.number == number), None)
        if version is None or not _held(version, self.question.at_s):
            self.outdated.add(document_id)
            return False
        if not matches(self.question.filter, version.document.attributes):
            return False
        self.found.chunks[one.uuid.int] = chunk_of(version, one.properties), version
        return True

    def _meant(self, numbers: Set[str]) -> FilterReturn:
        at_s, ended = self.question.at_s, On.by_property("ended_s")
        if at_s is None:
            held = ended.equal(FOREVER)
        else:
            held = ended.greater_than(at_s) & On.by_property("made_s").less_or_equal(at_s)
        told = None if self.question.filter is None else server_filter(self.question.filter, numbers)
        return held if told is None else held & told


def _held(version: Version, at_s: float | None) -> bool:
    if at_s is None:
        return version.ended_s is None
    return version.made_s <= at_s and (version.ended_s is None or version.ended_s > at_s)

"""A question to the spaces that somebody may read: embedded, searched, judged, and made into what a model reads."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rag.context import Passage, passages, told, wanted
from rag.embedding import Embedder
from rag.filters import Filter
from rag.fusion import ALPHA
from rag.relevance import Evidence, evidence
from rag.stores.contract import Question, VectorStore
from rag.values import Hit, SpaceId

FOUND = 8
BUDGET_TOKENS = 2_000


Judged: TypeAlias = tuple[Hit, Evidence]


@dataclass(frozen=True, slots=True)
class Wish:
    text: str
    spaces: tuple[SpaceId, ...]
    limit: int = FOUND
    budget_tokens: int = BUDGET_TOKENS
    alpha: float = ALPHA
    filter: Filter | None = None
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """`judged` is everything that was found, with what speaks for it. No passages: nothing relevant was found."""

    passages: tuple[Passage, ...]
    judged: tuple[Judged, ...]

    @property
    def context(self) -> str:
        return told(self.passages)


async def retrieve(store: VectorStore, embedder: Embedder, wish: Wish) -> Retrieved:
    """Raises EmbeddingError, StoreError."""
    judged = await judge(store, embedder, wish)
    return Retrieved(await relevant_passages(store, judged, wish.budget_tokens), judged)


async def judge(store: VectorStore, embedder: Embedder, wish: Wish) -> tuple[Judged, ...]:
    """What is found in spaces of one encoder, the best first. Raises EmbeddingError, StoreError."""
    (vector,) = await embedder.vectors([wish.text])
    asked = Question(wish.text, vector, wish.limit, wish.alpha, wish.filter, wish.at_s)
    return tuple((hit, evidence(wish.text, hit)) for hit in await store.search(wish.spaces, asked))


async def relevant_passages(store: VectorStore, judged: Sequence[Judged], budget_tokens: int) -> tuple[Passage, ...]:
    """What is read of it, within the budget. Raises StoreError."""
    return await _passages(store, [hit for hit, one in judged if one.relevant], budget_tokens)


async def _passages(store: VectorStore, hits: Sequence[Hit], budget_tokens: int) -> tuple[Passage, ...]:
    asked = wanted(hits)
    read = await asyncio.gather(*(store.chunks(version, first, last) for version, first, last in asked))
    around = {
        (version.document_id, version.number, chunk.ordinal): chunk
        for (version, _, _), chunks in zip(asked, read, strict=True)
        for chunk in chunks
    }
    return passages(hits, around, budget_tokens)

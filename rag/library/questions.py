"""A question to some stores: each group of one encoder asked with its own vectors, and what was found put together."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from cluster.grants import may_change
from cluster.knowledge import Ask, Found, KnowledgeError, Reader
from rag.filters import Filter, FilterError, read_filter
from rag.fusion import ALPHA
from rag.library.answers import Files, Names, each_text_once, found, known, place_of, together, why, with_marks
from rag.library.encoders import Encoders
from rag.library.licences import TOKENS, within_licence
from rag.library.places import Places
from rag.library.rows import StoreRow
from rag.library.shelves import Shelves
from rag.reranking import CANDIDATES, RerankingError, reranked
from rag.retrieval import Judged, Wish, judge, relevant_passages
from rag.stores.contract import MOST_HITS, UnknownSpaceError

SPARE = 2  # times as many as wanted are looked for, as some say the same


class Questions:
    def __init__(self, shelves: Shelves, encoders: Encoders, places: Places) -> None:
        self._shelves, self._encoders, self._places = shelves, encoders, places

    async def answer(self, reader: Reader, stores: Sequence[StoreRow], ask: Ask) -> Found:
        """Raises KnowledgeError, EmbeddingError, StoreError."""
        meant = _filter(ask)
        _check_alpha(ask)
        rows = {store.store_id: store for store in stores}
        reader = replace(reader, classes=reader.classes | {store.data_class for store in stores})
        self._places.check(frozenset(store.data_class for store in stores))
        groups: defaultdict[str, list[StoreRow]] = defaultdict(list)
        for store in stores:
            if await self._shelves.space(store) is not None:
                groups[store.encoder].append(store)
        each = await asyncio.gather(
            *(self._judge(reader, model, group, (ask, meant)) for model, group in groups.items())
        )
        judged = sorted((one for group in each for one in group), key=lambda one: -one[0].score)
        names = await self._names(judged)
        ranked, unranked = await self._reranked(reader, ask, each_text_once(known(judged, names)))
        enough = [one for one in ranked if one[0].score >= ask.least_score][: ask.limit]
        lent = {one for one in rows if rows[one].licence and not may_change(reader, rows[one])}
        enough = within_licence(enough, lent)
        budget = min(ask.budget_tokens, TOKENS) if lent else ask.budget_tokens
        passages = await relevant_passages(self._shelves.store, enough, budget)
        standing = await self._shelves.ask(self._shelves.catalogue.standing, [one.store_id for one in stores])
        counts = together(each for each, _ in standing.values())
        answer = found(enough, passages, Names(names, rows), why(enough, passages, counts) + unranked)
        return with_marks(answer, ask.text) if ask.marked else answer

    async def _reranked(self, reader: Reader, ask: Ask, judged: tuple[Judged, ...]) -> tuple[tuple[Judged, ...], str]:
        """With why nobody did, where somebody should have."""
        reranker = self._encoders.reranker(reader) if ask.rerank else None
        if reranker is None:
            return judged, ""
        try:
            return await reranked(reranker, ask.text, judged), ""
        except RerankingError as error:
            return judged, f"; {reranker.model} did not rank them: {error}"

    async def _judge(
        self, reader: Reader, model: str, stores: Sequence[StoreRow], asked: tuple[Ask, Filter | None]
    ) -> tuple[Judged, ...]:
        ask, meant = asked
        wish = Wish(
            ask.text,
            tuple(store.space_id for store in stores),
            min(max(SPARE * ask.limit, CANDIDATES), MOST_HITS),
            ask.budget_tokens,
            ALPHA if ask.alpha is None else ask.alpha,
            meant,
            ask.at_s,
        )
        try:
            return await judge(self._shelves.store, self._encoders.embedder(reader, model, False), wish)
        except UnknownSpaceError:  # it was dropped since
            return ()

    async def _names(self, judged: Iterable[Judged]) -> Files:
        documents: defaultdict[str, set[str]] = defaultdict(set)
        for hit, _ in judged:
            store_id, document = place_of(hit.version)
            documents[store_id].add(document)
        catalogue = self._shelves.catalogue
        return {
            (store_id, document): row
            for store_id, names in documents.items()
            for document, row in (await self._shelves.ask(catalogue.documents, store_id, names)).items()
        }


def _filter(ask: Ask) -> Filter | None:
    try:
        return None if ask.filter is None else read_filter(ask.filter)
    except FilterError as error:
        raise KnowledgeError("invalid", "invalid_filter", str(error), "filters") from error


def _check_alpha(ask: Ask) -> None:
    if ask.alpha is not None and not 0.0 <= ask.alpha <= 1.0:
        raise KnowledgeError("invalid", "invalid_value", f"a weight lies between 0 and 1, {ask.alpha} does not")

"""What was found, ranked by a model of the gateway's own; and told as it was found where that model cannot."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from cluster.knowledge import Ask, NewStore, Reader
from inventory.catalog import Capability
from rag.relevance import Evidence
from rag.reranking import GatewayReranker, reranked
from rag.values import Chunk, Hit, NewChunk, NewDocument, SpaceId, Version
from router.dialects.file_search_tool import FileSearchTool, search_by
from router.knowledge.wire import SearchBody
from support.engines import running_fault_engine
from support.gateway import MODEL, Running, running_gateway, served_by
from support.libraries import WordEncoders, opened, reading, settled, upload

OWNER = Reader("home", "owner1", "family", "private")
RANKS: dict[str, frozenset[Capability]] = {MODEL: frozenset({"rerank"})}
TEXTS = ("monday monday monday exam", "the exam on monday is in the hall", "monday exam")
QUESTION = "the exam hall"


@asynccontextmanager
async def ranking(root: Path) -> AsyncIterator[Running]:
    with running_fault_engine(root / "engine", "llamacpp") as engine:
        async with running_gateway(root / "gateway", [served_by(engine)], abilities=RANKS) as running:
            yield running


async def test_what_was_found_comes_in_the_order_of_the_model_that_ranks(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    encoders = WordEncoders()
    async with ranking(tmp_path) as running, running.gateway.in_house.client_for(OWNER) as client:
        encoders.ranks = GatewayReranker(client, MODEL)
        async with opened(tmp_path, encoders) as library, reading(library):
            store = await library.knowledge.create_store(OWNER, NewStore("notes"))
            files = [upload(tmp_path / "up", number, text) for number, text in enumerate(TEXTS)]
            await library.knowledge.add_files(OWNER, store.store_id, files)
            await settled(library, store.store_id, OWNER)
            found = await library.knowledge.search(OWNER, Ask(QUESTION, (store.store_id,)))
            plain = await library.knowledge.search(OWNER, Ask(QUESTION, (store.store_id,), rerank=False))
            encoders.ranks = GatewayReranker(client, "not-here")
            without = await library.knowledge.search(OWNER, Ask(QUESTION, (store.store_id,)))
            records = [record for record in running.finished() if record.api == "rerank"]

    assert [(chunk.text, round(chunk.score, 2)) for chunk in found.chunks[:1]] == [(TEXTS[1], 1.0)]
    assert [round(chunk.score, 2) for chunk in found.chunks[1:]] == [0.33, 0.33]
    assert found.chunks[0].reason.endswith(f"; {MODEL} gives it 1.00")
    assert [chunk.text for chunk in without.chunks] == [chunk.text for chunk in plain.chunks]
    assert "gives it" not in plain.chunks[0].reason + without.chunks[0].reason
    assert "; not-here did not rank them: " in without.reason
    assert [(record.key_id, record.outcome) for record in records[:1]] == [("owner1", "ok")]


class Logits:
    """As some engines give them."""

    model = "logits"

    async def scores(self, question: str, texts: Sequence[str]) -> tuple[float, ...]:
        return tuple(float(text) for text in texts)


@pytest.mark.parametrize("scores", [("-3", "8000", "0.5"), ("-8000", "0", "-1")])
async def test_scores_of_any_size_lie_between_0_and_1_and_keep_their_order(scores: tuple[str, ...]) -> None:
    document = NewDocument("a", "hash", "A", "text/plain", "en", "private", {}, 3)
    version = Version(SpaceId("home", "notes"), "a", 1, document, 0.0, None, 3)
    judged = [
        (Hit(Chunk(text, at, NewChunk(text, 0, 1)), version, 0.5, 0.5, None), Evidence(0.5, 1.0, True, "why"))
        for at, text in enumerate(scores)
    ]
    found = await reranked(Logits(), "?", judged)

    assert [hit.chunk.content.text for hit, _ in found] == sorted(scores, key=float, reverse=True)
    assert all(0.0 <= hit.score <= 1.0 for hit, _ in found)
    assert await reranked(Logits(), "?", []) == ()


@pytest.mark.parametrize(("ranker", "wanted"), [("none", False), ("auto", True), ("default-2024-11-15", True)])
def test_a_client_may_want_no_second_order(ranker: str, wanted: bool) -> None:
    options = {"ranking_options": {"ranker": ranker}}
    tool = msgspec.convert({"type": "file_search", "vector_store_ids": ["vs_1"], **options}, FileSearchTool)
    body = msgspec.convert({"query": "exam", **options}, SearchBody)

    assert search_by(tool, "tools[0]").ask("exam", 100, 0.0).rerank is wanted
    assert body.rerank is wanted

"""From a file that a client uploads to an answer that cites it, all through the gateway's own doors and engines."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import openai
import pytest

from cli.documents import open_room
from cluster.limits import Limits
from inventory.catalog import Capability
from nodes.relay.contract import Address
from nodes.snapshot import EngineKind
from router.batches.relay_jobs import LineWriter
from support.documents import store_with
from support.engines import FaultEngine, running_fault_engine
from support.gateway import KEY, MODEL, Running, access_with, engine_at, key_record, running_gateway, served_by
from support.joining import eventually

VECTORS = "vectors"
CAN: dict[str, frozenset[Capability]] = {VECTORS: frozenset({"embed"})}
BINS = "Recycling bins go out on our street on Tuesday"


@asynccontextmanager
async def house(root: Path, writer: FaultEngine) -> AsyncIterator[tuple[Running, openai.AsyncOpenAI]]:
    """One engine writes, another makes vectors."""
    with running_fault_engine(root / "encoder", "encoder", "--only-reads") as encoder:
        encodes = engine_at(Address("127.0.0.1", encoder.port), f"{VECTORS}-1", VECTORS, kind=encoder.kind)
        engines = [served_by(writer), encodes]
        async with (
            running_gateway(root, engines, (MODEL, VECTORS), abilities=CAN, open_room=open_room) as running,
            running.openai() as client,
        ):
            yield running, client


async def test_a_file_is_uploaded_asked_about_cited_and_read_by_its_citation(
    standing: Callable[[EngineKind], FaultEngine], tmp_path: Path
) -> None:
    writer = standing("llamacpp")
    writer.script({"content": "On Tuesday [1]."})
    async with house(tmp_path, writer) as (running, client):
        store, files = await store_with(client, [BINS])
        response = await client.responses.create(
            model=MODEL, input=BINS, tools=[{"type": "file_search", "vector_store_ids": [store.id]}],
        )  # fmt: skip
        writer.script({"content": "On Tuesday [1]."})
        async with running.http() as http:
            chat = (await http.post("/v1/chat/completions", json=asking(store.id))).json()
            (cited,) = chat["choices"][0]["message"]["annotations"]
            source = await http.get(cited["url_citation"]["url"])

    search, message = response.output
    assert search.type == "file_search_call"
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    assert [one.file_id for one in part.annotations if one.type == "file_citation"] == [files[0].id]
    assert source.status_code == 200
    assert BINS in source.text


async def test_a_question_takes_one_place_of_its_key_with_the_vectors_that_it_needs(
    standing: Callable[[EngineKind], FaultEngine], tmp_path: Path
) -> None:
    writer = standing("llamacpp")
    writer.script({"content": "On Tuesday [1]."}, {"content": "On Tuesday [1]."})
    async with house(tmp_path, writer) as (running, client):
        store, _ = await store_with(client, [BINS])
        limited = replace(key_record(), limits=Limits(concurrency=1))
        running.view.install_access(access_with(running.paths, (limited,), sequence=2))
        async with running.http() as http:
            answers = [await http.post("/v1/chat/completions", json=asking(store.id)) for _ in range(2)]
        await running.until_idle()
        asked = [(record.api, record.status) for record in running.finished()][-4:]

    assert [answer.headers["x-potluck-documents"] for answer in answers] == ["1 passage of 1 file"] * 2
    assert asked == [("embeddings", 200), ("chat", 200)] * 2


async def test_a_gateway_that_stops_still_makes_the_vectors_of_a_question_that_was_let_in(
    standing: Callable[[EngineKind], FaultEngine], tmp_path: Path
) -> None:
    writer = standing("llamacpp")
    writer.script({"content": "On Tuesday [1]."})
    async with house(tmp_path, writer) as (running, client):
        store, _ = await store_with(client, [BINS])
        dispatcher = running.gateway.dispatcher
        answer = LineWriter(dispatcher.ids.next())
        arrival = dispatcher.arrive("chat", {b"authorization": f"Bearer {KEY}".encode()})
        call = dispatcher.begin(arrival, msgspec.json.encode(asking(store.id)), answer)
        dispatcher.draining = True
        told = await answer.answer
        await running.until_idle()

    assert call is not None
    assert told is not None
    assert told.status == 200
    assert b'"url_citation"' in told.body


async def test_metrics_tell_how_files_stand_and_how_searches_end(
    standing: Callable[[EngineKind], FaultEngine], tmp_path: Path
) -> None:
    async with house(tmp_path, standing("llamacpp")) as (running, client):
        store, _ = await store_with(client, [BINS])
        await client.vector_stores.search(store.id, query=BINS)
        with pytest.raises(openai.NotFoundError):
            await client.vector_stores.search(f"vs_{'0' * 32}", query=BINS)
        async with running.http() as http:

            async def counted() -> str | None:
                text = (await http.get("/metrics")).text
                return text if 'potluck_document_files{status="completed"} 1.0' in text else None

            told = (await eventually(counted, "the file is counted")).splitlines()

    counts = ("potluck_document_files", "potluck_document_searches_total")
    assert {line for line in told if line.startswith(counts)} == {
        'potluck_document_files{status="cancelled"} 0.0',
        'potluck_document_files{status="completed"} 1.0',
        'potluck_document_files{status="failed"} 0.0',
        'potluck_document_files{status="in_progress"} 0.0',
        'potluck_document_searches_total{outcome="found"} 1.0',
        'potluck_document_searches_total{outcome="refused"} 1.0',
    }
    assert "potluck_document_search_seconds_count 2.0" in told


def asking(store_id: str) -> dict[str, object]:
    tools = [{"type": "file_search", "vector_store_ids": [store_id]}]
    return {"model": MODEL, "messages": [{"role": "user", "content": BINS}], "tools": tools}

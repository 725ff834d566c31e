"""What the dashboard's page of documents asks: whole answers with what stands around them, files read again, and as
whom a session asks."""

import asyncio
from pathlib import Path

import httpx2
import openai
from openai.types.vector_stores import VectorStoreFile

from router.dashboard.api import SESSION
from support.documents import COLLEAGUE, keeping_documents, store_with, with_everybody
from support.gateway import KEY, Running

OWN_PAGE = {"x-potluck-dashboard": "1", "sec-fetch-site": "same-origin"}
GARDEN = "The gate of the gardén opens at nine. Every gate has a key; GATES are green."
MARKUP = "<script>alert(1)</script> The gate is <b>open</b>."


async def ask(http: httpx2.AsyncClient, text: str, *stores: str, **more: object) -> httpx2.Response:
    return await http.post("/api/v1/rag/search", json={"query": text, "vector_store_ids": list(stores), **more})


async def test_words_of_the_question_are_marked_where_they_stand_and_the_text_stays_text(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        store, _ = await store_with(client, [GARDEN, MARKUP])
        answer = (await ask(http, "Where is the garden gate?", store.id)).json()

    parts = {part["text"]: part for one in answer["passages"] + answer["others"] for part in one["chunks"]}
    assert parts.keys() == {GARDEN, MARKUP}
    assert [GARDEN[first:last] for first, last in parts[GARDEN]["marks"]] == ["gate", "gardén", "gate"]
    assert [MARKUP[first:last] for first, last in parts[MARKUP]["marks"]] == ["gate"]
    assert {part["found"] for part in parts.values()} == {True}
    assert all(part["reason"] for part in parts.values())
    assert answer["reason"]


async def test_where_nothing_is_relevant_no_passage_is_told_and_the_reason_says_so(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        store, _ = await store_with(client, [GARDEN])
        empty = await client.vector_stores.create(name="empty")
        nothing = (await ask(http, "zzz qqq", store.id)).json()
        none = (await ask(http, "gate", empty.id)).json()

    assert nothing["passages"] == []
    assert [one["chunks"][0]["relevant"] for one in nothing["others"]] == [False]
    assert nothing["reason"].startswith("nothing relevant was found")
    assert (none["passages"], none["others"]) == ([], [])
    assert none["reason"] == "nothing can be found: there are no files in what was asked"


async def test_a_store_that_is_not_ones_own_is_not_there_for_a_question(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        with_everybody(running)
        store, _ = await store_with(client, [GARDEN])
        async with running.http(COLLEAGUE) as http:
            answer = await ask(http, "gate", store.id)
            again = await http.post("/api/v1/rag/retry", json={"vector_store_id": store.id, "file_id": "file-1"})

    assert (answer.status_code, again.status_code) != (200, 200)
    assert {answer.status_code, again.status_code} <= {403, 404}


async def test_of_licensed_material_a_reader_is_told_passages_and_never_the_whole(tmp_path: Path) -> None:
    chapters = [f"Chapter {number}. " + f"The gate of garden {number} is green. " * 60 for number in range(12)]
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as mine:
        with_everybody(running)
        store, _ = await store_with(client, ["\n\n".join(chapters)])
        lent = {"readers": ["key:fellow"], "licence": "the publisher's, for this school"}
        assert (await mine.post(f"/v1/vector_stores/{store.id}", json=lent)).status_code == 200
        async with running.http(COLLEAGUE) as theirs:
            answers = [(await ask(http, "garden gate", store.id, max_num_results=50)) for http in (mine, theirs)]
    all_of_it, some_of_it = (
        sum(len(part["text"]) for one in answer.json()["passages"] + answer.json()["others"] for part in one["chunks"])
        for answer in answers
    )

    assert all_of_it > 15_000
    assert 0 < some_of_it < 8_000


async def test_a_file_that_could_not_be_read_is_read_again_when_somebody_asks_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "hours.pdf").write_bytes(b"%PDF-1.7 and then nothing of one")
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        store = await client.vector_stores.create(name="notes")
        body = {"vector_store_id": store.id, "path": str(folder), "watch": False}
        assert (await http.post("/api/v1/rag/folders", json=body)).status_code == 200
        failed = await only_file(client, store.id, "failed")
        (folder / "hours.pdf").write_text("We open at nine.")
        again = await http.post("/api/v1/rag/retry", json={"vector_store_id": store.id, "file_id": failed.id})
        read = await only_file(client, store.id, "completed")
        unknown = await http.post("/api/v1/rag/retry", json={"vector_store_id": store.id, "file_id": "file-none"})

    assert failed.last_error is not None
    assert (again.status_code, again.json()["status"], again.json()["last_error"]) == (200, "in_progress", None)
    assert (read.id, read.last_error) == (failed.id, None)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "file_not_found")


async def only_file(client: openai.AsyncOpenAI, store_id: str, status: str) -> VectorStoreFile:
    """Of a store, once it stands so."""
    async with asyncio.timeout(60):
        while True:
            files = [one async for one in client.vector_stores.files.list(store_id)]
            if [one.status for one in files] == [status]:
                return files[0]
            await asyncio.sleep(0.05)


async def log_in(running: Running, client: httpx2.AsyncClient, key: str) -> None:
    answer = await client.post(SESSION, json={"key": key}, headers=OWN_PAGE | {"origin": running.base_url})
    assert answer.status_code == 200


async def test_a_session_looks_into_the_documents_of_its_key_and_shares_them_from_its_own_page_only(
    tmp_path: Path,
) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http(None) as mine:
        with_everybody(running)
        store, (file,) = await store_with(client, [GARDEN])
        path = f"/v1/vector_stores/{store.id}"
        await log_in(running, mine, KEY)
        shown = (await mine.get(path)).json()["potluck"]
        foreign = await mine.post(path, json={"readers": ["everyone"]})
        shared = await mine.post(path, json={"readers": ["key:fellow"]}, headers=OWN_PAGE)
        text = (await mine.get(f"{path}/files/{file.id}/content")).json()["data"][0]["text"]
        model = await mine.post("/v1/embeddings", json={"model": "toy", "input": "hi"}, headers=OWN_PAGE)
        async with running.http(None) as theirs:
            await log_in(running, theirs, COLLEAGUE)
            lent = (await theirs.get(path)).json()["potluck"]
            taken = await theirs.delete(f"{path}/files/{file.id}", headers=OWN_PAGE)

    assert (shown["owners"], shown["readers"], shown["chunks"]) == (["key:owner1"], [], 1)
    assert shown["rights"] == ["read", "read_whole", "change", "share"]
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (403, "cross_site")
    assert (shared.json()["potluck"]["readers"], text, model.status_code) == (["key:fellow"], GARDEN, 401)
    assert lent["rights"] == ["read", "read_whole", "share"]  # an admin's key: it may say who reads
    assert taken.status_code == 403

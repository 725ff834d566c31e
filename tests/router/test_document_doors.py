"""Folders of the gateway's machine and usual stores, for whoever runs the cluster; and doors that nothing is behind."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from router.readers import reader_of
from router.request import Identity
from support.documents import keeping_documents, uploaded, with_everybody
from support.gateway import MODEL, Running, running_gateway
from support.leaks import CANARY

SHELVES = "The blue shelf holds maps of Norway."


async def test_a_newer_version_is_found_and_the_one_before_can_still_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "hours.md").write_text("We open at nine.")
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        store = await client.vector_stores.create(name="notes")
        body = {"vector_store_id": store.id, "path": str(folder), "watch": True}
        made = (await http.post("/api/v1/rag/folders", json=body)).json()
        await says(http, store.id, "We open at nine.")
        (folder / "hours.md").write_text("We open at ten, and close at five.")
        await says(http, store.id, "We open at ten, and close at five.")
        (file,) = [one async for one in client.vector_stores.files.list(store.id)]
        path = f"/v1/vector_stores/{store.id}/files/{file.id}"
        texts = [(await http.get(f"{path}/content", params={"version": number})) for number in (1, 2, 3)]
        shown = (await http.get(path)).json()["potluck"]
        listed = (await http.get("/api/v1/rag/folders")).json()["data"]
        dropped = (await http.delete(f"/api/v1/rag/folders/{made['id']}")).json()
        after = (await http.get("/api/v1/rag/folders")).json()["data"]

    assert [text.json()["data"][0]["text"] for text in texts[:2]] == [
        "We open at nine.",
        "We open at ten, and close at five.",
    ]
    assert (texts[2].status_code, texts[2].json()["error"]["param"]) == (404, "version")
    assert (shown["filename"], shown["version"]) == ("hours.md", 2)
    assert [(one["id"], one["path"], one["watched"]) for one in listed] == [(made["id"], str(folder), True)]
    assert (dropped, after) == ({"id": made["id"], "object": "rag.folder.deleted", "deleted": True}, [])


async def says(http: httpx2.AsyncClient, store_id: str, text: str) -> None:
    """Returns once this is what its only file says."""
    async with asyncio.timeout(60):
        while True:
            hits = (await http.post(f"/v1/vector_stores/{store_id}/search", json={"query": "open"})).json()["data"]
            if [hit["content"][0]["text"] for hit in hits] == [text]:
                return
            await asyncio.sleep(0.05)


async def test_a_usual_store_is_asked_for_those_that_were_named_and_then_for_nobody(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        with_everybody(running)
        store = await client.vector_stores.create(name="notes")
        knowledge = running.gateway.dispatcher.knowledge
        assert knowledge is not None
        readers = [reader_of(holder(running, key)) for key in ("owner1", "fellow", "other")]
        asked = [
            {"vector_store_id": store.id, "models": ["writer"]},
            {"vector_store_id": store.id, "keys": ["fellow", "other"]},
            {"vector_store_id": store.id},
        ]
        told, found = [], []
        for body in asked:
            told.append((await http.post("/api/v1/rag/usual", json=body)).json())
            found.append([[bool(knowledge.usual_stores(one, model)) for model in ("writer", "a")] for one in readers])

    assert told[1] == {
        "object": "rag.usual", "vector_store_id": store.id, "models": [], "keys": ["fellow", "other"],
        "readers": ["everyone", "key:fellow", "key:other"],
    }  # fmt: skip
    assert found == [
        [[True, False], [True, False], [False, False]],
        [[False, False], [True, True], [False, False]],
        [[False, False]] * 3,
    ]


def holder(running: Running, key_id: str) -> Identity:
    found = running.view.keys.holder_of(key_id, 0.0)
    assert found is not None
    return found


@pytest.mark.parametrize("path", ["relative", "/no/such/folder"])
async def test_a_folder_that_is_none_is_refused(tmp_path: Path, path: str) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        store = await client.vector_stores.create(name="notes")
        answer = await http.post("/api/v1/rag/folders", json={"vector_store_id": store.id, "path": path})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "path"), answer.text


async def test_a_gateway_without_documents_says_so(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as http:
        answer = await http.post("/v1/vector_stores", json={"name": CANARY})

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "documents_off")


async def test_documents_that_cannot_be_opened_stop_nothing_else_and_no_file_goes_unseen(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        (file_id,) = await uploaded(client, SHELVES)
    running.paths.library_db.write_bytes(b"no database at all" * 100)
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        refused = await http.get("/v1/vector_stores")
        deleted = await http.delete(f"/v1/files/{file_id}")
        kept = await client.files.retrieve(file_id)
        vectors = await client.embeddings.create(model=MODEL, input="still here", encoding_format="float")

    assert (refused.status_code, deleted.status_code) == (503, 503)
    assert "library.db" in refused.json()["error"]["message"]
    assert kept.id == file_id
    assert vectors.data

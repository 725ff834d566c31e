"""The openai client and its vector stores, through the real gateway, with the real library behind it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from cluster.limits import Limits
from inventory.clock import SystemClock
from router.knowledge.wire import MOST_FILES
from support.documents import COLLEAGUE, OTHER_KEY, keeping_documents, settled, store_with, uploaded, with_everybody
from support.gateway import MODEL, Running, access_with, key_record
from support.published import departures

SHELVES = "The blue shelf holds maps of Norway."
GARDEN = "The garden gate is opened at seven in the morning."
STORE = "/vector_stores/{vector_store_id}"


async def test_files_are_read_and_what_they_say_is_found(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        store, (shelves, garden) = await store_with(client, [SHELVES, GARDEN])
        page = await client.vector_stores.search(store.id, query="Where are the maps of Norway?", max_num_results=2)
        everything = [hit async for hit in page]
        several = await client.vector_stores.search(store.id, query=["maps of Norway", "garden gate"])
        content = [
            part async for part in await client.vector_stores.files.content(shelves.id, vector_store_id=store.id)
        ]

    assert (store.status, store.name, store.file_counts.completed, store.file_counts.total) == (
        "completed",
        "notes",
        2,
        2,
    )
    assert (shelves.status, shelves.last_error, shelves.vector_store_id) == ("completed", None, store.id)
    assert everything[0].file_id == shelves.id
    assert everything[0].filename == "0.md"
    assert SHELVES in everything[0].content[0].text
    assert 0 < everything[0].score <= 1
    assert sorted(hit.score for hit in everything) == [hit.score for hit in reversed(everything)]
    assert {hit.file_id for hit in several.data} == {shelves.id, garden.id}
    assert [part.text for part in content] == [SHELVES]


async def test_what_only_potluck_can_say_stands_beside_openais_fields(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        store, (file, _) = await store_with(client, [SHELVES, GARDEN])
        await client.vector_stores.files.update(
            file.id, vector_store_id=store.id, attributes={"room": "attic", "year": 5}
        )
        said = {"query": SHELVES, "filters": {"type": "eq", "key": "room", "value": "attic"}}
        page = (await http.post(f"/v1/vector_stores/{store.id}/search", json=said)).json()
        shown = (await http.get(f"/v1/vector_stores/{store.id}/files/{file.id}")).json()
        told = (await http.get(f"/v1/vector_stores/{store.id}")).json()

    (hit,) = page["data"]
    assert (page["object"], page["search_query"], page["next_page"]) == (
        "vector_store.search_results.page", [SHELVES], None
    )  # fmt: skip
    assert (hit["file_id"], hit["attributes"]) == (file.id, {"room": "attic", "year": 5})
    assert (hit["potluck"]["version"], hit["potluck"]["relevant"]) == (1, True)
    assert hit["potluck"]["reason"]
    assert hit["potluck"]["locator"].keys() == {"kind", "value"}
    assert shown["potluck"] == {"filename": "0.md", "version": 1, "chunks": 1, "folder": None}
    assert shown["chunking_strategy"] == {"type": "other"}
    assert told["potluck"] == {
        "embedding_model": MODEL, "data_class": "private", "owners": ["key:owner1"], "readers": [], "licence": None,
        "pii": None, "rights": ["read", "read_whole", "change", "share"], "chunks": 2,
    }  # fmt: skip


async def test_answers_are_as_published(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        made = (
            await http.post(
                "/v1/vector_stores", json={"name": "a", "expires_after": {"anchor": "last_active_at", "days": 3}}
            )
        ).json()
        (file_id,) = await uploaded(client, SHELVES)
        path = f"/v1/vector_stores/{made['id']}"
        sizes = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50}}
        batch = (
            await http.post(f"{path}/file_batches", json={"file_ids": [file_id], "chunking_strategy": sizes})
        ).json()
        await settled(client, made["id"])
        asked: Sequence[tuple[str, str, str, Any]] = (
            ("post", "", STORE, {"name": "b", "metadata": {"for": "a test"}}),
            ("get", "", STORE, None),
            ("get", "/files", f"{STORE}/files", None),
            ("get", f"/files/{file_id}", f"{STORE}/files/{{file_id}}", None),
            ("post", f"/files/{file_id}", f"{STORE}/files/{{file_id}}", {"attributes": {"a": "b"}}),
            ("get", f"/files/{file_id}/content", f"{STORE}/files/{{file_id}}/content", None),
            ("get", f"/file_batches/{batch['id']}", f"{STORE}/file_batches/{{batch_id}}", None),
            ("get", f"/file_batches/{batch['id']}/files", f"{STORE}/file_batches/{{batch_id}}/files", None),
            ("post", f"/file_batches/{batch['id']}/cancel", f"{STORE}/file_batches/{{batch_id}}/cancel", {}),
            ("delete", f"/files/{file_id}", f"{STORE}/files/{{file_id}}", None),
            ("delete", "", STORE, None),
        )
        found = [f"create: {one}" for one in departures("openai_chat", "/vector_stores", made)]
        found += departures("openai_chat", f"{STORE}/file_batches", batch)
        found += departures("openai_chat", "/vector_stores", (await http.get("/v1/vector_stores")).json(), "get")
        told = {}
        for method, where, described, body in asked:
            answer = await http.request(method, f"{path}{where}", json=body)
            assert answer.status_code == 200, (method, where, answer.text)
            told[method, where] = answer.json()
            found += [
                f"{method} {described}: {one}" for one in departures("openai_chat", described, answer.json(), method)
            ]
        gone = await http.get(path)

    assert not found, "\n".join(found)
    assert told["get", f"/files/{file_id}"]["chunking_strategy"] == sizes
    assert told["get", ""]["name"] == "b"
    assert told["get", ""]["expires_at"] == told["get", ""]["last_active_at"] + 3 * 24 * 3600
    assert told["delete", ""] == {"id": made["id"], "object": "vector_store.deleted", "deleted": True}
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "vector_store_not_found")


async def test_a_store_that_would_expire_is_told_to_stay(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.http() as http:
        three_days = {"anchor": "last_active_at", "days": 3}
        made = (await http.post("/v1/vector_stores", json={"name": "a", "expires_after": three_days})).json()
        path = f"/v1/vector_stores/{made['id']}"
        named = (await http.post(path, json={"name": "b"})).json()
        staying = (await http.post(path, json={"expires_after": None})).json()

    assert [one.get("expires_after") for one in (made, named, staying)] == [three_days, three_days, None]
    assert staying.get("expires_at") is None


async def test_whoever_is_over_his_limit_is_told_when_to_search_again(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        store, _ = await store_with(client, [SHELVES])
        limited = replace(key_record(), limits=Limits(requests_per_minute=1))
        running.view.install_access(access_with(running.paths, (limited,), sequence=2))
        answers = [await http.post(f"/v1/vector_stores/{store.id}/search", json={"query": f"{at}"}) for at in range(3)]

    refused = answers[-1]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 60


async def test_lists_come_in_parts_in_either_order_and_by_status(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        stores = [(await client.vector_stores.create(name=f"{number}")).id for number in range(5)]
        by_twos = [store.id async for store in client.vector_stores.list(limit=2)]
        oldest = [store.id async for store in client.vector_stores.list(limit=2, order="asc")]
        before = await client.vector_stores.list(limit=2, before=stores[0])
        ids = [
            *(await uploaded(client, *(f"note {number}" for number in range(3)))),
            *(await uploaded(client, b"\0\1", ending="bin")),
        ]
        await client.vector_stores.file_batches.create(stores[0], file_ids=ids)
        store = await settled(client, stores[0])
        done = [
            file.id
            async for file in client.vector_stores.files.list(stores[0], filter="completed", order="asc", limit=1)
        ]
        failed = [file async for file in client.vector_stores.files.list(stores[0], filter="failed")]
        with pytest.raises(openai.BadRequestError, match="none of these"):
            await client.vector_stores.files.list(stores[0], after="file-none")

    assert by_twos == stores[::-1]
    assert oldest == stores
    assert ([store.id for store in before.data], before.has_more) == ([stores[2], stores[1]], True)
    assert (store.file_counts.completed, store.file_counts.failed) == (3, 1)
    assert done == ids[:3]
    assert [(file.id, file.last_error and file.last_error.code) for file in failed] == [(ids[3], "unsupported_file")]


async def test_a_batch_of_files_counts_what_becomes_of_them(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        began_s = SystemClock().wall_s()
        store = await client.vector_stores.create(name="notes")
        one, two, other = await uploaded(client, SHELVES, GARDEN, "elsewhere")
        await client.vector_stores.files.create(store.id, file_id=other)
        batch = await client.vector_stores.file_batches.create_and_poll(
            store.id, files=[{"file_id": one, "attributes": {"room": "attic"}}, {"file_id": two}]
        )
        files = {
            file.id: file
            async for file in client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)
        }
        again = await client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)

    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 2, 2)
    assert abs(batch.created_at - began_s) < 60
    assert {file_id: file.attributes for file_id, file in files.items()} == {one: {"room": "attic"}, two: {}}
    assert again.status == "completed"


async def test_a_file_that_is_deleted_is_in_no_store_any_more(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        store, (file, kept) = await store_with(client, [SHELVES, GARDEN])
        second = await client.vector_stores.create(name="second", file_ids=[file.id])
        await settled(client, second.id)
        await client.vector_stores.files.delete(kept.id, vector_store_id=store.id)
        still = await client.files.retrieve(kept.id)
        assert (await client.files.delete(file.id)).deleted
        left = [[one.id async for one in client.vector_stores.files.list(one)] for one in (store.id, second.id)]
        found = [hit async for hit in await client.vector_stores.search(store.id, query="maps of Norway")]
        with pytest.raises(openai.NotFoundError, match="no file"):
            await client.vector_stores.files.create(store.id, file_id=file.id)

    assert still.id == kept.id
    assert left == [[], []]
    assert found == []


async def test_a_store_that_everyone_reads_is_its_tenants_and_an_upload_its_keys(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        with_everybody(running)
        store, (file,) = await store_with(client, [SHELVES], owners=["everyone"])
        (another,) = await uploaded(client, GARDEN)
        stranger, colleague = client.with_options(api_key=OTHER_KEY), client.with_options(api_key=COLLEAGUE)
        seen = (
            [one.id async for one in colleague.vector_stores.list()],
            [one async for one in stranger.vector_stores.list()],
        )
        found = await colleague.vector_stores.search(store.id, query="maps of Norway")
        with pytest.raises(openai.NotFoundError):
            await colleague.vector_stores.files.create(store.id, file_id=another)
        path, headers = f"/v1/vector_stores/{store.id}", {"authorization": f"Bearer {OTHER_KEY}"}
        batch = (await http.post(f"{path}/file_batches", json={"file_ids": [file.id]})).json()["id"]
        asked: list[tuple[str, str, dict[str, Any] | None]] = [
            ("GET", "", None), ("POST", "", {"name": "mine"}), ("DELETE", "", None),
            ("POST", "/search", {"query": "maps"}),
            ("GET", "/files", None), ("GET", f"/files/{file.id}", None), ("GET", f"/files/{file.id}/content", None),
            ("POST", f"/files/{file.id}", {"attributes": {}}), ("DELETE", f"/files/{file.id}", None),
            ("GET", f"/file_batches/{batch}", None), ("POST", f"/file_batches/{batch}/cancel", None),
            ("GET", f"/file_batches/{batch}/files", None),
        ]  # fmt: skip
        answers = [
            await http.request(method, f"{path}{where}", json=body, headers=headers) for method, where, body in asked
        ]
        missing = [
            await http.request(method, f"/v1/vector_stores/vs_none{where}", json=body) for method, where, body in asked
        ]
        usual = await http.post("/api/v1/rag/usual", json={"vector_store_id": store.id}, headers=headers)

    assert seen == ([store.id], [])
    assert [hit.file_id for hit in found.data] == [file.id]
    assert {answer.status_code for answer in (*answers, *missing, usual)} == {404}
    assert {answer.json()["error"]["code"] for answer in answers} == {"vector_store_not_found"}
    assert all("Norway" not in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("where", "body", "param"),
    [
        ("", {"colour": "red"}, "colour"),
        ("", {"name": 5}, "name"),
        ("", {"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
        ("", {"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
        ("", {"metadata": {f"{number}": "x" for number in range(17)}}, "metadata"),
        ("", {"file_ids": ["file-x"] * (MOST_FILES + 1)}, "file_ids"),
        ("", {"embedding_model": "nix"}, "embedding_model"),
        ("/{store}/files", {}, "file_id"),
        ("/{store}/files", {"file_id": "{file}", "attributes": {"a": "x" * 513}}, "attributes[...]"),
        ("/{store}/files", {"file_id": "{file}", "attributes": {"a": ["x"]}}, "attributes[...]"),
        ("/{store}/files", {"file_id": "{batch}"}, "file_id"),
        (
            "/{store}/files",
            {"file_id": "{file}", "chunking_strategy": {
                "type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}},
            "chunking_strategy.static.chunk_overlap_tokens",
        ),
        ("/{store}/files", {"file_id": "{file}", "chunking_strategy": {"type": "mine"}}, "chunking_strategy.type"),
        ("/{store}/file_batches", {}, "file_ids"),
        ("/{store}/file_batches", {"file_ids": ["{file}"], "files": [{"file_id": "{file}"}]}, "file_ids"),
        ("/{store}/file_batches", {"files": [{"file_id": "{file}"}], "attributes": {"a": 1}}, "files"),
        ("/{store}/search", {}, "query"),
        ("/{store}/search", {"query": ""}, "query"),
        ("/{store}/search", {"query": "x", "max_num_results": 51}, "max_num_results"),
        ("/{store}/search", {"query": "x", "ranking_options": {"ranker": "best"}}, "ranking_options.ranker"),
        (
            "/{store}/search",
            {"query": "x", "ranking_options": {"score_threshold": 1.5}},
            "ranking_options.score_threshold",
        ),
        (
            "/{store}/search",
            {"query": "x", "ranking_options": {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}},
            "ranking_options.hybrid_search",
        ),
        ("/{store}/search", {"query": "x", "filters": {"type": "like", "key": "a", "value": "b"}}, "filters"),
        ("/{store}/search", {"query": "x", "filters": "all"}, "filters"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_by_the_name_of_its_field(
    documents: Running, where: str, body: dict[str, Any], param: str
) -> None:
    async with documents.openai() as client, documents.http() as http:
        store = await client.vector_stores.create(name="notes")
        (file_id,) = await uploaded(client, SHELVES)
        batch = await client.files.create(file=("in.jsonl", b"{}"), purpose="batch")
        ids = {"{store}": store.id, "{file}": file_id, "{batch}": batch.id}
        answer = await http.post(f"/v1/vector_stores{_named(where, ids)}", json=_named(body, ids))

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[Running]:
    async with keeping_documents(tmp_path) as running:
        yield running


def _named(value: Any, ids: dict[str, str]) -> Any:
    """With the ids in their places."""
    if isinstance(value, dict):
        return {key: _named(one, ids) for key, one in value.items()}
    if isinstance(value, list):
        return [_named(one, ids) for one in value]
    for name, found in ids.items():
        value = value.replace(name, found) if isinstance(value, str) else value
    return value


async def test_weights_and_thresholds_change_what_is_found(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        store, (shelves, _) = await store_with(client, [SHELVES, GARDEN])

        async def found(**options: object) -> list[str]:
            body = {"query": "Norway", "rewrite_query": True, "ranking_options": options}
            answer = await http.post(f"/v1/vector_stores/{store.id}/search", json=body)
            return [hit["file_id"] for hit in answer.json()["data"]]

        by_words = await found(
            hybrid_search={"embedding_weight": 0, "text_weight": 2}, score_threshold=0.9, ranker="none"
        )
        anything = await found()

    assert by_words == [shelves.id]
    assert set(anything) >= {shelves.id}

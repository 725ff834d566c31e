"""Spaces at the doors: whose they are, who is let in, and that all of it is on record."""

from dataclasses import replace
from pathlib import Path

import httpx2
import openai
import pytest

from cli.documents import open_room
from cluster.admin_client import AdminClient
from cluster.key_order import OWNER
from router.knowledge.recorder import HeadRecorder
from support.documents import CAN, COLLEAGUE, OTHER_KEY, keeping_documents, store_with
from support.engines import running_fault_engine
from support.gateway import Running, access_with, key_record, running_gateway, served_by
from support.leaks import CANARY
from support.trails import on_record

SHELVES, GARDEN = "The blue shelf holds maps of Norway.", "The garden gate is opened at seven."
PUPIL = "pl_pupil_" + "p" * 43


def with_people(running: Running) -> None:
    """Beside the owner, who is an admin, a colleague and a pupil of the same tenant, and an admin of another."""
    colleague = replace(key_record(COLLEAGUE), role="user", name="cleo")
    pupil = replace(key_record(PUPIL), role="user", group="pupils")
    other = replace(key_record(OTHER_KEY), tenant="clinic")
    running.view.install_access(access_with(running.paths, (key_record(), colleague, pupil, other), sequence=2))


async def test_what_was_not_shared_is_not_there_and_what_was_may_be_read_and_not_changed(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        with_people(running)
        colleague, pupil = client.with_options(api_key=COLLEAGUE), client.with_options(api_key=PUPIL)
        mine, (file,) = await store_with(colleague, [SHELVES], readers=["group:pupils", "key:cleo"])
        hidden, _ = await store_with(colleague, [GARDEN])
        listed = [[one.id async for one in each.vector_stores.list()] for each in (colleague, pupil)]
        found = await pupil.vector_stores.search(mine.id, query="maps of Norway")
        text = [part.text async for part in await pupil.vector_stores.files.content(file.id, vector_store_id=mine.id)]
        with pytest.raises(openai.NotFoundError, match="no vector store"):
            await pupil.vector_stores.search(hidden.id, query="roses")
        with pytest.raises(openai.PermissionDeniedError, match="and not change it"):
            await pupil.vector_stores.update(mine.id, name="ours")
        with pytest.raises(openai.PermissionDeniedError, match="Grant it to yourself first"):
            await client.vector_stores.search(mine.id, query="maps")
        told = (await http.get(f"/v1/vector_stores/{mine.id}", headers=of(PUPIL))).json()["potluck"]
        owned = (await http.get(f"/v1/vector_stores/{mine.id}", headers=of(COLLEAGUE))).json()["potluck"]
        dropped = await client.vector_stores.delete(hidden.id)

    assert [sorted(one) for one in listed] == [sorted([mine.id, hidden.id]), [mine.id]]
    assert ([hit.file_id for hit in found.data], text) == ([file.id], [SHELVES])
    assert (told["owners"], told["readers"], told["rights"]) == (["key:fellow"], None, ["read", "read_whole"])
    assert (owned["readers"], owned["rights"][-1]) == (["group:pupils", "key:fellow"], "share")
    assert dropped.deleted


async def test_the_clusters_owner_shares_with_a_group_and_a_key_of_another_tenant(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        owner = replace(key_record(), tenant=OWNER, group=OWNER)
        colleague = replace(key_record(COLLEAGUE), role="user", tenant="default", group="class-7")
        pupil = replace(key_record(PUPIL), role="user", tenant="clinic", group="pupils", name="dan")
        other = replace(key_record(OTHER_KEY), tenant="default")  # an admin, and not of this space
        running.view.install_access(access_with(running.paths, (owner, colleague, pupil, other), sequence=2))
        space, (file,) = await store_with(client, [SHELVES], readers=["group:class-7", "key:dan"])
        for key in (COLLEAGUE, PUPIL):
            reader = client.with_options(api_key=key)
            assert [one.id async for one in reader.vector_stores.list()] == [space.id]
            found = await reader.vector_stores.search(space.id, query="maps of Norway")
            assert [hit.file_id for hit in found.data] == [file.id]
            with pytest.raises(openai.PermissionDeniedError, match="and not change it"):
                await reader.vector_stores.update(space.id, name="ours")
        stranger = client.with_options(api_key=OTHER_KEY)
        unseen = [one.id async for one in stranger.vector_stores.list()]
        with pytest.raises(openai.NotFoundError, match="no vector store"):
            await stranger.vector_stores.search(space.id, query="maps of Norway")
        searches = [one.record for one in on_record(running.paths) if one.record.action == "documents.search"]

    assert unseen == []
    assert [(one.target, one.actor.tenant, one.outcome) for one in searches] == [
        (space.id, "default", "done"), (space.id, "clinic", "done"), (space.id, "default", "refused"),
    ]  # fmt: skip


def of(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_every_access_is_on_record_and_no_word_of_what_was_asked_or_read(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.openai() as client, running.http() as http:
        with_people(running)
        colleague = client.with_options(api_key=COLLEAGUE)
        store, (file,) = await store_with(colleague, [f"{SHELVES} {CANARY}"])
        path = f"/v1/vector_stores/{store.id}"
        searched = await http.post(f"{path}/search", json={"query": f"maps of {CANARY}"}, headers=of(COLLEAGUE))
        await http.get(f"{path}/files/{file.id}/content", headers=of(COLLEAGUE))
        await http.get(f"/v1/files/{file.id}/content", headers=of(COLLEAGUE))
        await http.post(path, json={"readers": ["user:dan", "key:pupil"], "name": CANARY}, headers=of(COLLEAGUE))
        refused = await http.post(f"{path}/search", json={"query": CANARY}, headers=of(OTHER_KEY))
        await http.delete(path)
        records = on_record(running.paths)

    deeds = [(one.record.action.removeprefix("documents."), one.record.outcome) for one in records]
    assert deeds == [
        ("make", "begun"), ("make", "done"), ("share", "done"), ("add", "begun"), ("add", "done"), ("search", "done"),
        ("read", "done"), ("read", "done"), ("change", "begun"), ("change", "done"), ("share", "done"),
        ("share", "done"), ("search", "refused"), ("drop", "begun"), ("drop", "done"),
    ]  # fmt: skip
    search, refusal = records[5].record, records[12].record
    assert (search.target, search.actor.name) == (store.id, "fellow")
    assert dict(search.details) == {"found": len(searched.json()["data"]), "passages": 0}
    assert search.request_id == searched.headers["x-request-id"]
    assert (refusal.actor.name, refusal.actor.tenant, refused.status_code) == ("other", "clinic", 404)
    assert dict(refusal.details) == {"code": "vector_store_not_found"}
    assert [dict(one.record.details).get("grant") for one in records[10:12]] == [None, "key:pupil"]
    assert records[10].personal == (("grant", "user:dan"),)
    assert CANARY not in repr(records)


async def test_without_an_audit_nothing_is_told_or_done(tmp_path: Path) -> None:
    """There is no head here, which keeps it."""
    async with keeping_documents(tmp_path) as running, running.openai() as client:
        store, (file,) = await store_with(client, [SHELVES])
        paths = running.paths
    with running_fault_engine(tmp_path / "again", "encoder", "--only-reads") as engine:
        recorder = HeadRecorder(AdminClient(paths.head_socket))
        async with (
            running_gateway(
                tmp_path, [served_by(engine)], abilities=CAN, open_room=open_room, recorder=recorder
            ) as running,
            running.http() as http,
        ):
            path = f"/v1/vector_stores/{store.id}"
            answers = [
                await http.post(f"{path}/search", json={"query": "maps"}),
                await http.get(f"{path}/files/{file.id}/content"),
                await http.get(f"/v1/files/{file.id}/content"),
                await http.post(path, json={"name": "mine"}),
                await http.post("/v1/vector_stores", json={"name": "another"}),
                await http.delete(path),
            ]
            listed = (await http.get("/v1/vector_stores")).json()["data"]

    assert [said(answer) for answer in answers] == [(503, "audit_unavailable")] * 6
    assert all("Norway" not in answer.text for answer in answers)
    assert [(one["id"], one["name"]) for one in listed] == [(store.id, "notes")]


def said(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_fields_that_say_who_may_what_are_checked(tmp_path: Path) -> None:
    async with keeping_documents(tmp_path) as running, running.http() as http:
        bodies: list[dict[str, object]] = [
            {"readers": ["ana"]}, {"owners": ["role:boss"]}, {"data_class": "secret"}, {"licence": "x" * 513},
        ]  # fmt: skip
        answers = [await http.post("/v1/vector_stores", json=body) for body in bodies]

    assert [(one.status_code, one.json()["error"]["param"]) for one in answers] == [
        (400, "readers"), (400, "owners"), (400, "data_class"), (400, "licence"),
    ]  # fmt: skip

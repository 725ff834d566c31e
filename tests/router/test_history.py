"""Documents as they were: asked as of a moment, compared, and kept for as long as was said. By OpenAI's client, through
the real gateway, with a clock that moves when a test says so."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from cluster.moments import DAY_S
from rag.library.opened import OpenLibrary, open_library
from rag.library.watcher import EVERY_S
from rag.stores.embedded import EmbeddedStore
from router.knowledge.room import Around
from support.asked_documents import OWNER
from support.engines import FaultEngine, running_fault_engine
from support.gateway import MODEL, Running, running_gateway, served_by
from support.libraries import ANYWHERE, PATIENCE_S, ParsingHere, WordEncoders, settled, until
from support.manual_clock import ManualClock

QUESTION = "On which day is the exam of biology?"
MONDAY, FRIDAY = "The exam of biology is on monday.", "The exam of biology is on friday."
WEEK_S = 7 * DAY_S


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEngine]:
    with running_fault_engine(tmp_path_factory.mktemp("engine"), "llamacpp") as engine:
        yield engine


@dataclass
class Watched:
    """A space that reads one file of a folder, again whenever it changes."""

    running: Running
    library: OpenLibrary
    clock: ManualClock
    page: Path
    store_id: str

    @property
    def tool(self) -> dict[str, Any]:
        return {"type": "file_search", "vector_store_ids": [self.store_id]}

    async def becomes(self, text: str, version: int) -> None:
        """Its folder is looked into by a clock that stands still meanwhile: how long a look takes says when the next
        one is. And never is there half a file to be seen."""
        fresh, rows = self.page.with_name(f".{self.page.name}"), self.library.shelves.catalogue
        fresh.write_text(text)

        def looked() -> bool:
            return all(folder.looked_s == self.clock.wall_s() for folder in rows.folders())

        async with asyncio.timeout(PATIENCE_S):
            await until(looked, self.library)
            fresh.replace(self.page)
            while [file.version for file in await settled(self.library, self.store_id, OWNER)] != [version]:
                self.clock.advance(EVERY_S)
                await until(looked, self.library)

    @property
    async def file_id(self) -> str:
        (file,) = await self.library.knowledge.files(OWNER, self.store_id)
        return file.file_id


@asynccontextmanager
async def watching(root: Path, engine: FaultEngine) -> AsyncIterator[Watched]:
    clock, made = ManualClock(), list[OpenLibrary]()

    def open_room(around: Around) -> OpenLibrary:
        store = EmbeddedStore(around.paths.rag_db, clock)
        made.append(open_library(around.paths.root, store, WordEncoders(), ParsingHere(), clock, ANYWHERE))
        return made[0]

    folder = root / "school"
    folder.mkdir()
    async with running_gateway(root, [served_by(engine)], clock=clock, open_room=open_room) as running:
        async with running.http() as http:
            store_id = (await http.post("/v1/vector_stores", json={"name": "school"})).json()["id"]
            said = {"vector_store_id": store_id, "path": str(folder), "watch": True}
            assert (await http.post("/api/v1/rag/folders", json=said)).status_code == 200
        yield Watched(running, made[0], clock, folder / "exam.md", store_id)


@pytest.fixture
async def watched(tmp_path: Path, engine: FaultEngine) -> AsyncIterator[Watched]:
    """Its file said one thing ten days ago, and says another since three days."""
    async with watching(tmp_path, engine) as watched:
        await watched.becomes(MONDAY, 1)
        watched.clock.advance(WEEK_S)
        await watched.becomes(FRIDAY, 2)
        watched.clock.advance(3 * DAY_S)
        yield watched


async def cited(client: openai.AsyncOpenAI, watched: Watched, tool: dict[str, Any]) -> tuple[str, int]:
    """The address that a chat cites, and the version that a response does."""
    asked: Any = {"model": MODEL, "tools": [tool]}
    answer = await client.chat.completions.create(messages=[{"role": "user", "content": QUESTION}], **asked)
    (address,) = {one.url_citation.url for one in answer.choices[0].message.annotations or ()}
    response = await client.responses.create(input=QUESTION, **asked)
    parts: Any = [part for item in response.output if item.type == "message" for part in item.content]
    (version,) = {one.version for part in parts for one in part.annotations}
    return address, version


@pytest.mark.parametrize(("said", "version", "text"), [({"as_of": "last week"}, 1, MONDAY), ({}, 2, FRIDAY)])
async def test_asked_as_of_last_week_the_old_version_is_cited_and_asked_now_the_new_one(
    watched: Watched, said: dict[str, Any], version: int, text: str
) -> None:
    async with watched.running.openai() as client, watched.running.http() as http:
        address, by_response = await cited(client, watched, watched.tool | said)
        page = await client.vector_stores.search(watched.store_id, query=QUESTION, extra_body=said)
        content = (await http.get(f"{urlsplit(address).path}?{urlsplit(address).query}")).json()["data"]

    assert f"version={version}" in urlsplit(address).query
    assert by_response == version
    assert [hit.content[0].text for hit in page.data] == [text]
    assert [part["text"] for part in content] == [text]


async def test_a_moment_that_is_none_is_refused_by_its_field(watched: Watched) -> None:
    chat = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
    async with watched.running.http() as http:
        searched = await http.post(
            f"/v1/vector_stores/{watched.store_id}/search", json={"query": QUESTION, "as_of": "soon"}
        )
        chatted = await http.post("/v1/chat/completions", json=chat | {"tools": [watched.tool | {"as_of": "soon"}]})
        before = await http.post(
            f"/v1/vector_stores/{watched.store_id}/search", json={"query": QUESTION, "as_of": 1000}
        )

    assert [answer.status_code for answer in (searched, chatted, before)] == [400, 400, 200]
    assert (searched.json()["error"]["param"], chatted.json()["error"]["param"]) == ("as_of", "tools[0].as_of")
    assert "'soon' is no moment" in chatted.json()["error"]["message"]
    assert before.json()["data"] == []


async def test_versions_are_told_with_their_times_and_compared_by_their_places(watched: Watched) -> None:
    path = f"/v1/vector_stores/{watched.store_id}/files/{await watched.file_id}"
    async with watched.running.http() as http:
        first, second = (await http.get(f"{path}/versions")).json()["data"]
        difference = (await http.get(f"{path}/diff")).json()
        the_other_way = (await http.get(f"{path}/diff", params={"from": 2, "to": 1})).json()
        none: list[httpx2.Response] = [
            await http.get(f"{path}/diff", params=asked) for asked in ({"from": 7}, {"to": 1})
        ]

    assert (first["version"], second["version"], second["ended_at"]) == (1, 2, None)
    assert first["ended_at"] == second["made_at"] > first["made_at"] + WEEK_S
    assert difference["text"].splitlines() == [
        "--- exam.md version 1", "+++ exam.md version 2", "@@ -1,1 +1,1 @@ line 1", f"-{MONDAY}", f"+{FRIDAY}"
    ]  # fmt: skip
    assert (difference["added"], difference["removed"], difference["old"], difference["new"]) == (1, 1, first, second)
    assert the_other_way["text"].splitlines()[-2:] == [f"-{FRIDAY}", f"+{MONDAY}"]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in none] == [(404, "version_not_found")] * 2


@pytest.mark.parametrize(
    ("history", "kept"),
    [({"versions": 2}, [2, 3]), ({"days": 2}, [3]), ({"days": 5}, [2, 3]), ({"versions": 1}, [3]), ({}, [1, 2, 3])],
)
async def test_versions_are_kept_for_as_long_as_was_said(
    watched: Watched, history: dict[str, Any], kept: list[int]
) -> None:
    await watched.becomes("The exam of biology is cancelled.", 3)
    watched.clock.advance(3 * DAY_S)
    file_id = await watched.file_id
    path = f"/v1/vector_stores/{watched.store_id}"
    async with watched.running.http() as http:
        changed = await http.post(path, json={"history": history})
        assert changed.status_code == 200, changed.text
        await watched.library.knowledge.drop_expired()  # as it does every minute
        found = (await http.get(f"{path}/files/{file_id}/versions")).json()["data"]
        after = await http.post(f"{path}/search", json={"query": QUESTION, "as_of": "5 days ago"})
        told = (await http.get(path)).json()
    await watched.becomes(MONDAY, 4)  # numbers are not given again

    assert [one["version"] for one in found] == kept
    assert told["usage_bytes"] == sum(one["usage_bytes"] for one in found)
    assert told["potluck"].get("history", {}) == ({"versions": None, "days": None} | history if history else {})
    assert [hit["potluck"]["version"] for hit in after.json()["data"]] == ([2] if 2 in kept else [])

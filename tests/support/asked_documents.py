"""A gateway whose callers have documents, real ones in a real library, with vectors that a test can foresee."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from cluster.knowledge import NewStore, Reader
from cluster.limits import Limits
from rag.library.opened import OpenLibrary
from support.engines import FaultEngine
from support.gateway import MODEL, Running, access_with, key_record, running_gateway, served_by
from support.libraries import WordEncoder, WordEncoders, opened, reading, settled, upload

OWNER = Reader("home", "owner1", "family", "private")  # who comes with support.gateway.KEY
QUESTION = "When do recycling bins go out on our street?"
BINS = "Recycling bins go out on our street on Tuesday, before seven."
GLASS = "Glass bins on our street go out on the first Friday."
STRANGE = "moon jupiter saturn comets planets glaciers volcanoes"  # shares no word with the question, and no direction
USER: dict[str, Any] = {"role": "user", "content": QUESTION}
CHAT: dict[str, Any] = {"model": MODEL, "messages": [USER]}


@dataclass(frozen=True)
class Asked:
    running: Running
    store_id: str
    encoder: WordEncoder
    library: OpenLibrary

    @property
    def tool(self) -> dict[str, Any]:
        return {"type": "file_search", "vector_store_ids": [self.store_id]}

    async def usually(self) -> None:
        """From here on the store is asked for every request to the model."""
        await self.library.knowledge.set_usual(OWNER, self.store_id, [MODEL], [])

    async def add(self, number: int, text: str, name: str = "") -> None:
        files = [upload(self.running.paths.root / "uploads", number, text, name)]
        await self.library.knowledge.add_files(OWNER, self.store_id, files)
        assert {one.status for one in await settled(self.library, self.store_id, OWNER)} == {"completed"}


@asynccontextmanager
async def with_documents(root: Path, engine: FaultEngine, *texts: str, **otherwise: Any) -> AsyncIterator[Asked]:
    """`texts` are its files. The rest is said to the gateway."""
    encoders = WordEncoders()
    async with opened(root, encoders) as library, reading(library):
        store = await library.knowledge.create_store(OWNER, NewStore("Home"))
        async with running_gateway(root, [served_by(engine)], **otherwise) as running:
            running.gateway.dispatcher.knowledge = library.knowledge
            asked = Asked(running, store.store_id, encoders.only, library)
            for number, text in enumerate(texts):
                await asked.add(number, text)
            yield asked


def read_by(engine: FaultEngine, at: int = -1) -> str:
    """What the engine had as the system message."""
    messages: list[dict[str, Any]] = engine.asked()[at]["messages"]
    return "\n\n".join(str(message["content"]) for message in messages if message["role"] == "system")


def passages_in(context: str) -> list[tuple[int, str]]:
    """Number and source of each, as the model read them."""
    return [(int(number), source) for number, source in re.findall(r"^\[(\d+)\] (.+)$", context, re.MULTILINE)]


async def chat(asked: Asked, streamed: bool, **fields: Any) -> tuple[str, list[Any], httpx2.Headers]:
    """Its text, its annotations and its head, by the openai client."""
    async with asked.running.openai() as client:
        body = {"model": MODEL, "messages": [USER], **fields}
        if not streamed:
            raw = await client.chat.completions.with_raw_response.create(**body)
            message = raw.parse().choices[0].message
            found = [one.model_dump()["url_citation"] for one in message.annotations or ()]
            return message.content or "", found, raw.headers
        opened = await client.chat.completions.with_raw_response.create(**body, stream=True)
        text, found, ended = "", [], False
        async for chunk in opened.parse():
            for choice in chunk.choices:
                assert not ended
                text += choice.delta.content or ""
                found += (choice.delta.model_extra or {}).get("annotations", [])
                ended = choice.finish_reason is not None
        assert ended
        return text, [one["url_citation"] for one in found], opened.headers


async def respond(asked: Asked, streamed: bool, **fields: Any) -> Any:
    async with asked.running.openai() as client:
        body = {"model": MODEL, "input": QUESTION, **fields}
        if not streamed:
            return await client.responses.create(**body)
        last = None
        async for event in await client.responses.create(**body, stream=True):
            last = event
        assert last is not None
        return last.response


async def asked_by(asked: Asked, body: dict[str, Any], path: str = "/v1/chat/completions") -> httpx2.Response:
    async with asked.running.http() as http:
        return await http.post(path, json=body)


def hold(asked: Asked) -> None:
    """Searches go on when `may_answer` is set."""
    asked.encoder.asked.clear()
    asked.encoder.may_answer.clear()


def limit(asked: Asked, limits: Limits) -> None:
    record = replace(key_record(), limits=limits)
    asked.running.view.install_access(access_with(asked.running.paths, (record,), sequence=2))

"""The gateway with documents: the real library behind its doors, and an engine that makes vectors."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import openai
from openai.types import VectorStore
from openai.types.vector_stores import VectorStoreFile

from cli.documents import open_room
from inventory.catalog import Capability
from support.engines import running_fault_engine
from support.gateway import MODEL, Running, access_with, key_record, running_gateway, served_by

CAN: dict[str, frozenset[Capability]] = {MODEL: frozenset({"embed"})}
PATIENCE_S = 60.0
OTHER_KEY, COLLEAGUE = "pl_other_" + "o" * 43, "pl_fellow_" + "f" * 43


@asynccontextmanager
async def keeping_documents(root: Path) -> AsyncIterator[Running]:
    """Files that are put into stores are read while the block runs."""
    with running_fault_engine(root / "engine", "encoder", "--only-reads") as engine:
        async with running_gateway(root, [served_by(engine)], abilities=CAN, open_room=open_room) as running:
            yield running


async def uploaded(client: openai.AsyncOpenAI, *texts: str | bytes, ending: str = "md") -> list[str]:
    """Ids of files with these texts, called `0.md`, `1.md`, …"""
    return [
        (await client.files.create(file=(f"{number}.{ending}", content_of(text)), purpose="assistants")).id
        for number, text in enumerate(texts)
    ]


def content_of(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


async def settled(client: openai.AsyncOpenAI, store_id: str) -> VectorStore:
    """As it is once none of its files is being read."""
    async with asyncio.timeout(PATIENCE_S):
        while (store := await client.vector_stores.retrieve(store_id)).status == "in_progress":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return store


async def store_with(
    client: openai.AsyncOpenAI, texts: Sequence[str], **ours: object
) -> tuple[VectorStore, list[VectorStoreFile]]:
    """Read; the files in the order of the texts. `ours`: fields that only potluck knows."""
    ids = await uploaded(client, *texts)
    made = await client.vector_stores.create(name="notes", file_ids=ids, extra_body=ours)
    store = await settled(client, made.id)
    files = {file.id: file async for file in client.vector_stores.files.list(store.id)}
    return store, [files[file_id] for file_id in ids]


def with_everybody(running: Running) -> None:
    """Beside the owner a colleague of the same tenant, and somebody of another."""
    keys = (key_record(), key_record(COLLEAGUE), replace(key_record(OTHER_KEY), tenant="clinic"))
    running.view.install_access(access_with(running.paths, keys, sequence=2))

"""Nodes that hold artifacts, with stores of their own and real TLS ports; and a network that cuts connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from inventory.catalog import StoredModel
from inventory.clock import SystemClock
from inventory.store import ModelStore
from nodes.artifact_api import CopyLimits, add_artifacts
from nodes.deny_list import DenyList
from nodes.orders import ArtifactHolder
from nodes.relay.sockets import listen_tcp
from nodes.snapshot import EngineSnapshot, NodeId
from nodes.tls_contexts import server_context
from nodes.tls_port import serve_node
from nodes.tls_server import Door
from support.gguf_files import write_gguf
from support.tls import TestAuthority

BULK_BYTES = 3_000_000  # of each text; a header takes no longer ones


def store_at(root: Path) -> ModelStore:
    return ModelStore(root, SystemClock())


def hold_a_model(root: Path, name: str = "smol", padding: str = "x") -> tuple[ModelStore, StoredModel]:
    """A store with one GGUF model of a few megabytes: most of it are long texts in its header."""
    root.mkdir(parents=True, exist_ok=True)
    store = store_at(root / "models")
    file = write_gguf(
        root / f"{name}.gguf", general={f"general.text.{number}": padding * BULK_BYTES for number in range(4)}
    )
    return store, store.import_path(file, name)


@asynccontextmanager
async def holding(
    ca: TestAuthority,
    name: str,
    store: ModelStore,
    limits: CopyLimits | None = None,
    engines: Sequence[EngineSnapshot] = (),
) -> AsyncIterator[ArtifactHolder]:
    """A node's TLS port that serves this store, and relays to these engines."""
    app = FastAPI()
    add_artifacts(app, store, limits or CopyLimits())
    async with listening(ca, name, app, engines) as holder:
        yield holder


@asynccontextmanager
async def listening(
    ca: TestAuthority, name: str, app: FastAPI, engines: Sequence[EngineSnapshot] = ()
) -> AsyncIterator[ArtifactHolder]:
    """The TLS port of a node of this name, whatever it serves."""
    stop, listener = asyncio.Event(), listen_tcp("127.0.0.1", 0)
    door = Door(listener, server_context(ca.identity("node", name), "must_prove"))
    holder = ArtifactHolder(NodeId(name), "127.0.0.1", listener.getsockname()[1])
    serving = asyncio.create_task(
        serve_node(app, lambda: tuple(engines), door, DenyList(ca.root / f"deny-{name}"), stop)
    )
    try:
        yield holder
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def cut_after(holder: ArtifactHolder, limits: list[int]) -> AsyncIterator[ArtifactHolder]:
    """A way to `holder` whose connections end after so many bytes each; with `limits` used up it connects nobody."""
    wires: set[asyncio.Task[None]] = set()

    async def wire(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        wires.add(task)
        try:
            with contextlib.suppress(OSError):
                if limits:
                    await _relay(reader, writer, holder, limits.pop(0))
        finally:
            writer.transport.abort()
            wires.discard(task)

    server = await asyncio.start_server(wire, "127.0.0.1", 0)
    try:
        yield ArtifactHolder(holder.node, "127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        left = tuple(wires)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, holder: ArtifactHolder, limit: int
) -> None:
    behind, ahead = await asyncio.open_connection(holder.host, holder.port)

    async def ask() -> None:
        while piece := await reader.read(65536):
            ahead.write(piece)

    asking = asyncio.create_task(ask())
    try:
        while limit > 0 and (piece := await behind.read(min(65536, limit))):
            limit -= len(piece)
            writer.write(piece)
            await writer.drain()
    finally:
        asking.cancel()
        ahead.transport.abort()

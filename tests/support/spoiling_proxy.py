"""A proxy before a good server that does everything wrong that a proxy can, and, told so, one thing more."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nodes.relay.contract import Address


@dataclass
class Passing:
    """One request and its answer, to be spoiled before it goes on. `status` is 0 until there is an answer."""

    method: str
    path: str
    fields: list[tuple[str, str]]
    body: bytes
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    hang_up: bool = False  # close after it, and do not say so

    @property
    def asked(self) -> dict[str, Any]:
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def ask(self, **fields: object) -> None:
        """Change fields of the question; None takes one out."""
        self.body = json.dumps(
            {name: value for name, value in {**self.asked, **fields}.items() if value is not None}
        ).encode()

    @property
    def said(self) -> Any:
        try:
            return json.loads(self.content)
        except ValueError:
            return {}

    def say(self, document: object) -> None:
        self.content = json.dumps(document).encode()


Spoil = Callable[[Passing], None]  # called with the question, and again with its answer


@asynccontextmanager
async def spoiling_proxy(server: Address, spoil: Spoil = lambda _: None) -> AsyncIterator[Address]:
    """Reads leniently, holds every answer until it is whole, goes on when its client has left, and waits for ever."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _keep(asyncio.current_task(), tasks)
        try:
            while True:
                passing = await _read(reader)
                spoil(passing)
                work = asyncio.create_task(_forward(server, passing))
                _keep(work, tasks)
                await asyncio.shield(work)
                spoil(passing)
                lines = [f"{name}: {value}" for name, value in passing.headers.items()]
                head = "\r\n".join([f"HTTP/1.1 {passing.status} So", *lines, f"content-length: {len(passing.content)}"])
                writer.write(f"{head}\r\n\r\n".encode() + passing.content)
                await writer.drain()
                if passing.hang_up or ("connection", "close") in passing.fields:
                    writer.close()
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            if not writer.is_closing():
                writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    host, port = listener.sockets[0].getsockname()[:2]
    try:
        yield Address(host, port)
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _keep(task: "asyncio.Task[None] | None", tasks: "set[asyncio.Task[None]]") -> None:
    """Until it is done."""
    assert task is not None
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _read(reader: asyncio.StreamReader) -> Passing:
    lines: list[str] = []
    while line := (await reader.readuntil(b"\n")).decode("latin-1").strip():
        lines.append(line)
    method, path, _ = lines[0].split(" ")
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
    lengths = [int(value) for name, value in pairs if name == "content-length"]
    return Passing(method, path, pairs, await reader.readexactly(lengths[0] if lengths else 0))


async def _forward(server: Address, passing: Passing) -> None:
    kept = {
        name: value
        for name, value in passing.fields
        if name not in ("host", "content-length", "transfer-encoding", "connection") and len(value) < 4096
    }
    sent = {**kept, "host": "localhost", "connection": "close", "content-length": str(len(passing.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(f"{passing.method} {passing.path} HTTP/1.1\r\n{head}\r\n".encode() + passing.body)
        answer = await reader.read()
    finally:
        writer.close()
    told, _, content = answer.partition(b"\r\n\r\n")
    first, *rest = told.decode("latin-1").split("\r\n")
    passing.status = int(first.split(" ")[1])
    headers = dict(line.lower().split(": ", 1) for line in rest)
    passing.content = _joined(content) if headers.pop("transfer-encoding", "") == "chunked" else content
    for name in ("connection", "content-length"):
        headers.pop(name, None)
    passing.headers = headers


def _joined(chunked: bytes) -> bytes:
    whole = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        whole, chunked = whole + chunked[: int(size, 16)], chunked[int(size, 16) + 2 :]
    return whole

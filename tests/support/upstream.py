"""A scripted engine on a real socket, in this loop: for what must be decided byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from nodes.relay.contract import Address


@dataclass
class Asked:
    """One request as the engine got it."""

    head: bytes
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        parsed = json.loads(self.body)
        assert isinstance(parsed, dict)
        return parsed


Script = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Upstream:
    address: Address
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, check: Callable[["Upstream"], bool], deadline_s: float = 60.0) -> None:
        async with asyncio.timeout(deadline_s), self.changed:
            await self.changed.wait_for(lambda: check(self))


@asynccontextmanager
async def scripted_upstream(script: Script) -> AsyncIterator[Upstream]:
    """Runs `script` for each request. When it returns the connection stays open, unless it closed it."""
    tasks: set[asyncio.Task[None]] = set()

    async def note(opened: int) -> None:
        async with upstream.changed:
            upstream.open_now += opened
            upstream.connections += max(0, opened)
            upstream.changed.notify_all()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await note(+1)
        current: asyncio.Task[None] | None = None
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    asked = await _read(reader)
                    upstream.asked.append(asked)
                    await note(0)
                    current = asyncio.create_task(_run(script, asked, writer))
                    tasks.add(current)
                    current.add_done_callback(tasks.discard)
        finally:
            if current is not None:
                current.cancel()
            writer.close()
            await note(-1)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    upstream = Upstream(Address(host, port))
    try:
        yield upstream
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()


async def _run(script: Script, asked: Asked, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await script(asked, writer)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    size = int(lengths[0].partition(b":")[2]) if lengths else 0
    return Asked(head, await reader.readexactly(size))


def whole(body: bytes, status: str = "200 OK", extra: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n".encode()
    return head + extra + b"\r\n" + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def token_event(text: str, model: str = "toy") -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": None}
    return _event({"choices": [choice]}, model)


def usage_event(prompt: int, output: int, model: str = "toy") -> bytes:
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return _event({"choices": [], "usage": usage}, model)


def _event(fields: dict[str, object], model: str) -> bytes:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    return b"data: " + json.dumps({**base, **fields}).encode() + b"\n\n"


def chat_answer(text: str, prompt: int = 3, output: int = 2, model: str = "toy") -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return json.dumps(
        {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
            "choices": [choice], "usage": usage,
        }
    ).encode()  # fmt: skip


def kindly_after(go_on: asyncio.Event) -> Script:
    """A well engine that answers once it may."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await answer_kindly(asked, writer)

    return answer


async def answer_kindly(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """A well engine: two tokens and their usage, streamed or not; 200 for its health."""
    if asked.head.startswith(b"GET"):
        writer.write(whole(b"{}"))
    elif b"tokenize HTTP" in asked.head or b"template HTTP" in asked.head:
        writer.write(whole(b'{"tokens":[1],"count":1,"prompt":"hi","content":"hi"}'))
    elif b"/v1/embeddings HTTP" in asked.head:
        writer.write(
            whole(b'{"object":"list","model":"toy","data":[{"object":"embedding","index":0,"embedding":[1.0]}]}')
        )
    elif b"/v1/rerank HTTP" in asked.head:
        writer.write(whole(b'{"results":[{"index":0,"relevance_score":1.0}]}'))
    elif asked.json.get("stream"):
        events = (token_event("Hel"), token_event("lo"), usage_event(3, 2), DONE)
        writer.write(STREAM_HEAD + b"".join(framed(event) for event in events) + LAST_CHUNK)
    else:
        writer.write(whole(chat_answer("Hello")))
    await writer.drain()

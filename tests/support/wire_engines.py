"""Engines at the other end of the wire, in this process: what a gateway writes to one is read in the same step.

An event loop whose connections lead here: a socket does not tell at which moment a machine was sent something.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.upstream import DONE, LAST_CHUNK, STREAM_HEAD, chat_answer, framed, token_event, usage_event, whole

_ID = re.compile(rb"x-request-id: (\S+)")


@dataclass
class Sent:
    """One request as it reached an engine. It waits until somebody says how it ends."""

    port: int
    path: str
    request_id: str
    body: bytes
    wire: "Wire"

    def answer(self, text: str) -> None:
        """As a well engine does."""
        asked = json.loads(self.body)
        if self.path == "/v1/embeddings":
            texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
            data = [{"object": "embedding", "index": at, "embedding": [float(len(text))]} for at in range(len(texts))]
            usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
            said = {"object": "list", "model": asked["model"], "data": data, "usage": usage}
            self.wire.say(whole(json.dumps(said).encode()))
        elif asked.get("stream"):
            events = (token_event(text), usage_event(3, 2), DONE)
            self.wire.say(STREAM_HEAD + b"".join(map(framed, events)) + LAST_CHUNK)
        else:
            self.wire.say(whole(chat_answer(text)))

    def fail(self) -> None:
        self.wire.say(whole(b'{"error":{"message":"out of order"}}', "500 Internal Server Error"))

    def begin_and_die(self) -> None:
        if json.loads(self.body).get("stream"):
            self.wire.say(STREAM_HEAD + framed(token_event("Hel")))
        self.wire.abort()

    def die(self) -> None:
        self.wire.abort()


@dataclass
class Engines:
    """All of a test. `arrived` is called in the step in which a request is written."""

    arrived: Callable[[Sent], None]
    pending: list[Sent] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)  # ports that nobody listens at

    def take(self, sent: Sent) -> None:
        self.pending.append(sent)
        self.arrived(sent)

    def forget(self, wire: "Wire") -> None:
        self.pending = [one for one in self.pending if one.wire is not wire]


class Wire(asyncio.Transport):
    """One connection of a gateway to an engine."""

    def __init__(self, engines: Engines, port: int, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._engines, self._port, self._protocol, self._closed = engines, port, protocol, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        named = _ID.search(head)
        path = head.split(b" ", 2)[1].decode()
        self._engines.take(Sent(self._port, path, named.group(1).decode() if named else "", body, self))

    def say(self, data: bytes) -> None:
        self._engines.forget(self)
        if not self._closed:
            self._protocol.data_received(data)

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._engines.forget(self)
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    close = abort

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None:
        """What is said here is said whole."""

    def resume_reading(self) -> None:
        """As above."""


class EngineLoop(asyncio.SelectorEventLoop):
    """Every connection that is dialled in it leads to one of these engines."""

    engines: Engines

    async def create_connection(  # type: ignore[override]  # the gateway dials in one way only
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        if port in self.engines.dead:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        protocol = protocol_factory()
        wire = Wire(self.engines, port, protocol)
        protocol.connection_made(wire)
        return wire, protocol

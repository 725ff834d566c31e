"""One HTTP request over mutual TLS, on a connection of its own, to a peer that must prove its role and name.

General HTTP clients leak the socket of a handshake that is cancelled, and daemons cancel calls whenever they stop.
"""

import asyncio
import ssl
from dataclasses import dataclass

import httptools

from nodes.peer import PeerRole, peer_host

ANSWER_LIMIT_BYTES = 32 * 1024 * 1024
READ_BYTES = 64 * 1024


class BrokenAnswerError(OSError):
    """What came back is no whole HTTP answer. Callers treat it like a connection that failed."""


@dataclass(frozen=True, slots=True)
class PeerPlace:
    """Where a peer listens, and which peer it must be."""

    role: PeerRole
    name: str
    host: str
    port: int
    context: ssl.SSLContext

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: bytes


async def call(place: PeerPlace, method: str, path: str, content: bytes, timeout_s: float) -> Answer:
    """Raises TimeoutError, and OSError for everything else that goes wrong: ssl's errors are OSErrors too."""
    head = f"{method} {path} HTTP/1.1\r\nhost: {place}\r\nconnection: close\r\ncontent-length: {len(content)}\r\n\r\n"
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(
            place.host, place.port, ssl=place.context, server_hostname=peer_host(place.role, place.name)
        )
        try:
            writer.write(head.encode() + content)
            return await _Reading().finish(reader)
        finally:
            writer.transport.abort()


class _Reading:
    """Takes one answer apart."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._complete = False

    async def finish(self, reader: asyncio.StreamReader) -> Answer:
        size = 0
        while not self._complete:
            data = await reader.read(READ_BYTES)
            size += len(data)
            if not data or size > ANSWER_LIMIT_BYTES:
                raise BrokenAnswerError(
                    "the connection was closed before the answer was whole" if not data else "too large"
                )
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise BrokenAnswerError(f"not an HTTP answer: {error}") from error
        return Answer(self._parser.get_status_code(), b"".join(self._pieces))

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._complete = True

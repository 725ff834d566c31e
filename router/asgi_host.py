"""The hot routes behind plain ASGI: the same calls as the protocol bypass, for tests and for any other host."""

import asyncio
from collections import deque
from collections.abc import Callable

from starlette.types import Message, Receive, Scope, Send

from router.data_class import HEADER, repeated
from router.dispatcher import Dispatcher
from router.errors import ApiError, too_large
from router.request import Api

QUEUE_BYTES = 64 * 1024


class AsgiWriter:
    """Queues messages for one task to send. Pauses its owner while the host does not take them."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._queued_bytes = 0
        self._news = asyncio.Event()
        self._over = False

    @property
    def paused(self) -> bool:
        return self._queued_bytes > QUEUE_BYTES

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        lines = [*_pairs(headers), (b"content-length", b"%d" % len(body))]
        self._put({"type": "http.response.start", "status": status, "headers": lines})
        self._put({"type": "http.response.body", "body": body})

    def begin_stream(self, status: int, headers: bytes) -> None:
        self._put({"type": "http.response.start", "status": status, "headers": _pairs(headers)})

    def write(self, data: bytes) -> None:
        self._queued_bytes += len(data)
        self._put({"type": "http.response.body", "body": data, "more_body": True})

    def end(self) -> None:
        self._put({"type": "http.response.body", "body": b""})

    def abort(self) -> None:
        self._messages.clear()
        self._over = True
        self._news.set()

    def unsent_bytes(self) -> int:
        return self._queued_bytes

    async def next_message(self) -> Message | None:
        """The next message to send, or None when the client was given up."""
        while not self._messages:
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()
        message = self._messages.popleft()
        self._queued_bytes -= len(message.get("body", b"")) if message.get("more_body") else 0
        return message

    def _put(self, message: Message) -> None:
        self._messages.append(message)
        self._news.set()


class AsgiRelay:
    """An ASGI application for one hot route."""

    def __init__(self, dispatcher: Dispatcher, api: Api, body_limit_bytes: int) -> None:
        self._dispatcher, self._api, self._limit = dispatcher, api, body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writer = AsgiWriter()
        try:
            if sum(name == HEADER for name, _ in scope["headers"]) > 1:
                raise repeated()
            arrival = self._dispatcher.arrive(self._api, dict(scope["headers"]), scope.get("scheme", "http"))
        except ApiError as error:
            self._dispatcher.turn_away(self._api, error, writer)
            await _send_all(writer, send)
            return
        try:
            body = await _read_body(receive, self._limit)
        except ApiError as error:
            self._dispatcher.refuse(arrival, "", error, writer)
            await _send_all(writer, send)
            return
        if body is None:
            return
        call = self._dispatcher.begin(arrival, body, writer)
        if call is None:
            await _send_all(writer, send)
            return

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            call.client_gone()
            writer.abort()

        watcher = asyncio.create_task(watch())
        try:
            await _send_all(writer, send, call.writer_resumed)
        finally:
            watcher.cancel()
            call.client_gone()  # says nothing to a call that has ended


async def _send_all(writer: AsgiWriter, send: Send, on_room: Callable[[], None] | None = None) -> None:
    while (message := await writer.next_message()) is not None:
        await send(message)
        if on_room is not None and not writer.paused:
            on_room()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            return


async def _read_body(receive: Receive, limit_bytes: int) -> bytes | None:
    """None when the client left. Raises ApiError 413."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")) if name]

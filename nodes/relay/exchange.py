"""One request to one engine and its answer: stale connections retried, streams cut at events, silence noticed."""

import asyncio

from nodes.relay.contract import Failure, FailureKind, Headers, Listener
from nodes.relay.pool import EndpointPool
from nodes.relay.sse import EventFramer, EventTooLargeError, Framer, Unframed
from nodes.relay.upstream import UpstreamConnection


class Exchange:
    """Started once. Ends by one last call to its listener, or silently by `cancel`."""

    __slots__ = (
        "_answer", "_answer_bytes", "_began", "_connection", "_dial", "_framer", "_headers", "_listener", "_over",
        "_paused", "_pool", "_quiet_since_s", "_request", "_retried", "_status", "_whole_events",
    )  # fmt: skip

    def __init__(self, pool: EndpointPool, request: bytes, listener: Listener, whole_events: bool = True) -> None:
        """Without `whole_events` a stream is passed on as it comes: for a hop that never adds an event of its own."""
        self._pool, self._request, self._listener, self._whole_events = pool, request, listener, whole_events
        self._connection: UpstreamConnection | None = None
        self._dial: asyncio.Task[None] | None = None
        self._framer: Framer | None = None
        self._status = 0
        self._headers: Headers = []
        self._answer: list[bytes] = []
        self._answer_bytes = 0
        self._began = self._over = self._paused = self._retried = False
        self._quiet_since_s: float | None = None

    def start(self) -> None:
        self._dial = self._pool.take(self)

    def cancel(self) -> None:
        """The client is gone: close the connection, which frees the engine's slot. A used one is never reused."""
        if self._over:
            return
        self._over = True
        if self._connection is not None:
            self._connection.close()
        if self._dial is not None:
            self._dial.cancel()

    def pause(self) -> None:
        """Stop reading from the engine until `resume`: the client cannot take more."""
        if not self._paused and self._connection is not None:
            self._paused = True
            self._connection.pause_reading()

    def resume(self) -> None:
        if self._paused and self._connection is not None:
            self._paused = False
            self._quiet_since_s = None
            self._connection.resume_reading()

    def sweep(self, now_s: float) -> None:
        """Give up an engine that has been silent too long. A paused exchange is silent by our own wish."""
        connection = self._connection
        if self._over or self._paused or connection is None:
            return
        if connection.moved or self._quiet_since_s is None:
            connection.moved = False
            self._quiet_since_s = now_s
            return
        quiet_s = now_s - self._quiet_since_s
        limits = self._pool.limits
        if not connection.heard and quiet_s > limits.first_byte_s:
            self._give_up("first_byte_timeout", f"no byte in {quiet_s:.0f} s")
        elif connection.heard and quiet_s > limits.stall_s:
            self._give_up("stall", f"no byte for {quiet_s:.0f} s in mid-answer")

    # Calls by the pool

    def on_connection(self, connection: UpstreamConnection) -> None:
        self._dial = None
        if self._over:
            connection.close()
            return
        self._connection = connection
        connection.moved = False
        connection.send(self._request, self)

    def on_no_connection(self, detail: str) -> None:
        self._dial = None
        self._fail("connect", detail)

    # Calls by the connection

    def on_head(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers
        if status == 200 and _is_event_stream(headers):
            self._framer = EventFramer(self._pool.limits.event_bytes) if self._whole_events else Unframed()

    def on_data(self, data: bytes) -> None:
        if self._framer is None:
            self._collect(data)
            return
        try:
            events = self._framer.push(data)
        except EventTooLargeError as error:
            self._give_up("too_large", str(error))
            return
        if events:
            self._began = True
            self._listener.on_events(events)

    def on_end(self) -> None:
        if self._over:
            return
        self._over = True
        self.resume()  # the connection may be idle in the pool by now, and must hear if the engine closes it
        self._connection = None
        if self._framer is None:
            self._listener.on_answer(self._status, self._headers, b"".join(self._answer))
        else:
            self._listener.on_stream_end(self._framer.rest())

    def on_lost(self, kind: FailureKind, detail: str) -> None:
        connection, self._connection = self._connection, None
        stale = kind == "died" and connection is not None and connection.served > 0 and not connection.heard
        if stale and not self._retried and not self._over:
            # The engine closed an idle connection just as we took it. A fresh one tells a dead engine from that.
            self._retried = True
            self._dial = self._pool.take(self, fresh=True)
            return
        self._fail(kind, detail)

    # Inside

    def _collect(self, data: bytes) -> None:
        self._answer_bytes += len(data)
        if self._answer_bytes > self._pool.limits.answer_bytes:
            self._give_up("too_large", f"an answer of more than {self._pool.limits.answer_bytes} bytes")
            return
        self._answer.append(data)

    def _give_up(self, kind: FailureKind, detail: str) -> None:
        if self._connection is not None:
            self._connection.close()
        self._fail(kind, detail)

    def _fail(self, kind: FailureKind, detail: str) -> None:
        if not self._over:
            self._over = True
            self._listener.on_failure(Failure(kind, detail, self._began))


def _is_event_stream(headers: Headers) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False

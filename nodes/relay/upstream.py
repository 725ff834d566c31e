"""One keep-alive connection to an engine: bytes to a response parser, callbacks out, no task."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from nodes.relay.contract import FailureKind, Headers
from nodes.relay.sockets import notice_dead_peer, set_no_delay


class Sink(Protocol):
    """Who takes the response on a connection. One at a time."""

    def on_head(self, status: int, headers: Headers) -> None: ...

    def on_data(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_lost(self, kind: FailureKind, detail: str) -> None: ...


class UpstreamConnection(asyncio.Protocol):
    """Speaks HTTP/1.1 as a client. The pool owns it while idle, one sink while a request is under way."""

    def __init__(
        self, on_free: Callable[["UpstreamConnection"], None], on_gone: Callable[["UpstreamConnection"], None]
    ):
        self._on_free, self._on_gone = on_free, on_gone
        self._parser = httptools.HttpResponseParser(self)
        self._sink: Sink | None = None
        self._transport: asyncio.Transport | None = None
        self._headers: Headers = []
        self._pieces: list[bytes] = []
        self._head_complete = self._message_complete = self._head_told = False
        self._keep_alive = self._surplus = False
        self.served = 0  # whole responses so far; above 0, an early death may only mean a stale keep-alive
        self.heard = False  # any byte of the response under way
        self.moved = False  # any byte since the sweeper last looked
        self.idle_since_s = 0.0

    # Calls by the pool and the exchange

    def send(self, request: bytes, sink: Sink) -> None:
        assert self._transport is not None
        self._sink = sink
        self._headers = []
        self._head_complete = self._message_complete = self._head_told = self._surplus = self.heard = False
        self._transport.write(request)

    def close(self) -> None:
        """Drop the connection at once: to an engine this is the news that nobody waits any more."""
        self._sink = None
        if self._transport is not None:
            self._transport.abort()

    def cut(self, detail: str) -> None:
        """Give up what is under way, with a reason for whoever waits."""
        self._fail("died", detail)

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._transport

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # Calls by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it
        set_no_delay(transport)
        if transport.get_extra_info("sslcontext") is not None:
            notice_dead_peer(transport)

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:  # an engine that speaks out of turn is not to be trusted with the next request
            self.close()
            return
        self.heard = self.moved = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("protocol", f"not an HTTP response: {error}")
            return
        if not self._head_told:
            if not self._head_complete:
                return
            self._head_told = True
            sink.on_head(self._parser.get_status_code(), self._headers)
        pieces = self._pieces
        if pieces:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            if self._sink is sink:
                sink.on_data(body)
        if self._message_complete and self._sink is sink:
            self._finish(sink)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._on_gone(self)
        sink, self._sink = self._sink, None
        if sink is None:
            return
        if self._head_told and not self._framed:
            sink.on_end()  # HTTP/1.0 and `connection: close` without a length: the end of input is the end
        else:
            sink.on_lost("died", str(error) if error else "the engine closed the connection")

    # Calls by the parser

    def on_message_begin(self) -> None:
        self._surplus = self._message_complete  # a second response in the same read: nobody asked for it

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        if self._parser.get_status_code() >= 200:
            self._head_complete = True
            self._keep_alive = self._parser.should_keep_alive()  # forgotten by the parser when the message ends
        else:
            self._headers = []  # 100 Continue and its like: the real head follows

    def on_body(self, body: bytes) -> None:
        if not self._surplus:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._message_complete = self._head_complete

    # Inside

    @property
    def _framed(self) -> bool:
        return any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    def _finish(self, sink: Sink) -> None:
        self._sink = None
        self.served += 1
        if self._keep_alive and not self._surplus:
            self._on_free(self)
        else:
            self.close()
        sink.on_end()

    def _fail(self, kind: FailureKind, detail: str) -> None:
        sink = self._sink
        self.close()
        if sink is not None:
            sink.on_lost(kind, detail)

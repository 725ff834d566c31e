"""One request of a hot route on a client connection: collect its body, start its call, wire back-pressure."""

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from inventory.logs import told
from nodes.relay.http1_writer import CONTINUE, Http1Writer
from router.call_context import UnderWay
from router.dispatcher import HeaderMap, Said
from router.errors import ApiError, internal, too_large
from router.request import Api, Arrival

if TYPE_CHECKING:
    from router.hot_protocol import HotProtocol

BODY_STALL_S = 30.0
LINGER_S = 1.0
_NOBODY_WAITS = asyncio.Event()


class Head(NamedTuple):
    """Of a request of a hot route, as its parser found it, and what it says; that is None until it was let in."""

    api: Api
    headers: HeaderMap
    keep_alive: bool
    chunked: bool
    said: Said | None = None


class HotCycle(RequestResponseCycle):
    """Stands where uvicorn keeps its request cycle, and shares of it only what uvicorn's protocol reads."""

    def __init__(self, protocol: "HotProtocol", head: Head, length: int | None = None) -> None:
        # The parent's is not called: its parts serve an ASGI task, and there is none.
        self.message_event = _NOBODY_WAITS
        self.response_complete = self.disconnected = False
        self.keep_alive = keep_alive = head.keep_alive
        self.receiving = True
        self._protocol, self._head, self._length = protocol, head, length
        self._arrival: Arrival | None = None
        self._call: UnderWay | None = None
        self._pieces: list[bytes] = []
        self._received = 0
        self._progress_s: float | None = None
        self._has_turn = False
        date = protocol.server_state.default_headers
        prelude = b"%b: %b\r\n" % date[0] if date else b""
        self.writer = Http1Writer(protocol.transport, keep_alive, head.chunked, prelude, self._complete)

    def begin(self) -> None:
        """Its turn on the connection has come. Who asks is settled before a body is read."""
        self._has_turn = True
        dispatcher, head = self._protocol.dispatcher, self._head
        try:
            self._arrival = dispatcher.arrive(head.api, head.headers, self._protocol.scheme or "", head.said)
        except ApiError as error:
            dispatcher.turn_away(head.api, error, self.writer)
            return
        if not self.receiving:
            self._dispatch()
        elif self._announced() > self._protocol.settings.body_limit_bytes:
            self._refuse_body()
        elif head.headers.get(b"expect", b"").lower() == b"100-continue":
            self._protocol.transport.write(CONTINUE)

    def take(self, body: bytes) -> None:
        """Its turn has come, and all of it is here."""
        self._received, self.receiving = len(body), False
        self._pieces.append(body)
        self.begin()

    @property
    def let_in(self) -> bool:
        return self._arrival is not None

    def feed(self, body: bytes) -> None:
        self._received += len(body)
        if not self.response_complete:
            self._progress_s = None
        limit = self._protocol.settings.body_limit_bytes
        if self.response_complete:
            if self._received > 2 * limit:  # it was told to stop
                self._protocol.transport.abort()
        elif self._received > limit:
            self._pieces.clear()
            if self._has_turn:
                self._refuse_body()
        else:
            self._pieces.append(body)

    def body_complete(self) -> None:
        self.receiving = False
        if self.response_complete:
            if not self.writer.keep_alive:
                self._protocol.transport.close()
        elif self._has_turn:
            self._dispatch()

    def pause(self) -> None:
        self.writer.paused = True
        if self._call is not None:
            self._call.writer_paused()

    def resume(self) -> None:
        self.writer.paused = False
        if self._call is not None:
            self._call.writer_resumed()

    def gone(self) -> None:
        if self._call is not None:
            self._call.client_gone()

    def sweep(self, now_s: float) -> None:
        """A client that stops in the middle of its body is not waited for; one that has its refusal, not for long."""
        if self._progress_s is None:
            self._progress_s = now_s
        elif now_s - self._progress_s > (LINGER_S if self.response_complete else BODY_STALL_S):
            self._protocol.transport.close()

    def _dispatch(self) -> None:
        assert self._arrival is not None
        if self._received > self._protocol.settings.body_limit_bytes:
            self._refuse_body()
            return
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        dispatcher = self._protocol.dispatcher
        try:
            call = dispatcher.begin(self._arrival, body, self.writer)
            if not self.response_complete:
                self._call = call
        except Exception as error:  # noqa: BLE001 - inside the parser's callback it would pass for a parse error
            dispatcher.context.log.emit("request_failed", request_id=self._arrival.request_id, error=told(error))
            if not self.response_complete:
                dispatcher.refuse(self._arrival, "", internal(self._arrival.request_id), self.writer)

    def _refuse_body(self) -> None:
        assert self._arrival is not None
        self.writer.keep_alive = False
        error = too_large(self._protocol.settings.body_limit_bytes)
        self._protocol.dispatcher.refuse(self._arrival, "", error, self.writer)

    def _announced(self) -> int:
        if self._length is not None:
            return self._length
        length = self._head.headers.get(b"content-length", b"0")
        return int(length) if length.isdigit() else 0

    def _complete(self) -> None:
        """The answer is written. A client that still sends is heard out, or it would lose the answer."""
        self.response_complete = True
        self._call = None
        if not self.writer.keep_alive and not self.receiving:
            self._protocol.transport.close()
        self._protocol.on_response_complete()

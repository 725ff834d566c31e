"""uvicorn's HTTP protocol with a bypass: hot routes go to the dispatcher without a task, all others to the ASGI app.

Also the guards that uvicorn leaves to others: size of head and body, time for both, a Host header, idle connections.
"""

import asyncio
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from nodes.relay.heads import Cut, KnownHeads, cut
from nodes.relay.sockets import set_no_delay
from nodes.relay.sweeper import Sweeper
from router.data_class import HEADER as CLASS_HEADER
from router.data_class import repeated
from router.dispatcher import HOT_PATHS, Dispatcher, HeaderMap, said_in
from router.errors import ApiError, invalid
from router.host_names import HostNames
from router.hot_cycle import Head, HotCycle
from router.request import Api
from router.settings import GatewaySettings
from router.slow_reader import SlowReader

HEAD_LIMIT_BYTES = 64 * 1024
WRITE_BUFFER_BYTES = 64 * 1024
PIPELINE_LIMIT = 16
HEADERS_LIMIT = 100
PARSED_ANEW = frozenset((b"transfer-encoding", b"upgrade", b"expect", b"x-request-id", b"x-client-request-id",
                         b"traceparent"))  # fmt: skip
"""Headers that no head has which is known again: they change how it is read, or name the request."""


def hot_protocol(dispatcher: Dispatcher, sweeper: Sweeper, settings: GatewaySettings) -> type[HttpToolsProtocol]:
    """The class to give to `uvicorn.Config(http=...)`. uvicorn makes one of it per connection."""

    hosts, heads = HostNames(settings.hosts), KnownHeads[Head]()

    class BoundProtocol(HotProtocol):
        def __init__(
            self,
            config: Config,
            server_state: ServerState,
            app_state: dict[str, Any],  # uvicorn's own signature
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, app_state, _loop)
            self.dispatcher, self.sweeper, self.settings = dispatcher, sweeper, settings
            self.hosts, self.heads = hosts, heads

    return BoundProtocol


class HotProtocol(HttpToolsProtocol):
    """One client connection."""

    dispatcher: Dispatcher
    sweeper: Sweeper
    settings: GatewaySettings
    hosts: HostNames
    heads: KnownHeads[Head]

    head_open = False  # a request head is under way
    head_since_s = idle_since_s = 0.0
    head_bytes = read_bytes = 0
    read_ended_one = False
    in_message = False  # by the parser
    to_come = 0  # of a body that follows a known head: the parser is not asked for it
    opening: Cut | None = None  # of the read under way, where its head is not known
    reader: SlowReader | None = None  # while bytes for the client pile up

    # Calls by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        set_no_delay(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.idle_since_s = self.loop.time()
        self.sweeper.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.sweeper.forget(self)
        super().connection_lost(exc)
        self.pipeline.clear()
        if isinstance(self.cycle, HotCycle):
            self.cycle.gone()

    def data_received(self, data: bytes) -> None:
        if self.to_come:
            self._feed(data)
            return
        if not self.in_message and (self.cycle is None or self.cycle.response_complete):
            self.opening = opening = cut(data)
            if opening is not None:
                same, length, body_at = opening
                head = self.heads.of(same)
                if head is not None and not self.transport.is_closing():
                    self._begin(head, length, data, body_at)
                    return
        self._parse(data)
        self.opening = None

    def _begin(self, head: Head, length: int, data: bytes, body_at: int) -> None:
        """A request whose head is known."""
        self.cycle = cycle = HotCycle(self, head, length)
        end = body_at + length
        if len(data) == end:
            cycle.take(data[body_at:])
            return
        self.to_come = length
        cycle.begin()
        self._feed(data[body_at:])

    def _feed(self, data: bytes) -> None:
        """A body after a known head, and maybe what comes after that."""
        assert isinstance(self.cycle, HotCycle)
        body = data[: self.to_come]
        self.to_come -= len(body)
        if body:
            self.cycle.feed(body)
        if not self.to_come:
            self.cycle.body_complete()
            if len(data) > len(body):
                self._parse(data[len(body) :])

    def _parse(self, data: bytes) -> None:
        self.read_bytes = len(data)
        self.read_ended_one = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.turn_away(invalid(f"not a valid HTTP request: {error}", code="invalid_http"))
            return
        except httptools.HttpParserUpgrade:
            pass  # not spoken here; the request is answered as the plain one it also is
        if self.head_open and not self.read_ended_one:  # the read is a piece of one head, and nothing else
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_LIMIT_BYTES:
                self.turn_away(head_too_large())

    def pause_writing(self) -> None:
        super().pause_writing()
        if isinstance(self.cycle, HotCycle):
            self.cycle.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if isinstance(self.cycle, HotCycle):
            self.cycle.resume()

    # Calls by the parser

    def on_message_begin(self) -> None:
        # The ASGI scope is built only for requests that go to the ASGI app.
        self.url = b""
        self.headers = []
        self.head_open = self.in_message = True
        self.head_bytes = 0
        self.head_since_s = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head_open = False
        opening, self.opening = self.opening, None  # what else this read holds begins in its middle
        headers: HeaderMap = dict(self.headers)
        usual = self.hosts.allows(headers.get(b"host", b"")) and len(self.headers) == len(headers)
        if not usual or len(headers) > HEADERS_LIMIT or self.head_bytes + self.read_bytes > HEAD_LIMIT_BYTES:
            error = self._bad_head(headers)
            if error is not None:
                self.turn_away(error)
                return
        before = self.cycle
        waits = before is not None and not before.response_complete
        if waits and len(self.pipeline) >= PIPELINE_LIMIT:
            self.transport.abort()
            return
        api = hot_api(self.url)
        if api is None or self.parser.get_method() != b"POST":
            self._build_scope(headers)
            super().on_headers_complete()
            return
        chunked = self.parser.get_http_version() != "1.0"
        head = Head(api, headers, chunked and self.parser.should_keep_alive(), chunked)
        cycle = HotCycle(self, head)
        self.cycle = cycle
        if waits:
            # Reading goes on: a client that leaves is noticed only by reading.
            self.pipeline.appendleft((cycle, self.app))
        else:
            cycle.begin()
            if opening is not None and cycle.let_in and head.keep_alive and PARSED_ANEW.isdisjoint(headers):
                self.heads.learn(opening[0], head._replace(said=said_in(headers)))

    def on_body(self, body: bytes) -> None:
        if isinstance(self.cycle, HotCycle):
            self.cycle.feed(body)
        elif self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.read_ended_one, self.in_message = True, False
        if isinstance(self.cycle, HotCycle):
            self.cycle.body_complete()
        elif self.cycle is not None:
            super().on_message_complete()

    # Calls by cycles, the sweeper and the server

    def on_response_complete(self) -> None:
        # Not uvicorn's: it arms a timer after every answer. Here the sweeper ages idle connections.
        self.server_state.total_requests += 1
        self.idle_since_s = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def sweep(self, now_s: float) -> None:
        if self.transport.is_closing():
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        if self._unread_s(now_s, busy) > self.settings.slow_reader_s:
            self.transport.abort()
        elif self.head_open:
            if now_s - self.head_since_s > self.settings.header_s:
                self.turn_away(ApiError(408, "request_timeout", "the request head did not arrive in time"))
        elif isinstance(self.cycle, HotCycle) and self.cycle.receiving:
            self.cycle.sweep(now_s)
        elif not busy and now_s - self.idle_since_s > self.settings.keep_alive_s:
            self.transport.close()

    def shutdown(self) -> None:
        super().shutdown()
        if isinstance(self.cycle, HotCycle):
            self.cycle.writer.keep_alive = False

    def turn_away(self, error: ApiError) -> None:
        """Refuse what cannot be a request and close. In the middle of an answer there is only closing."""
        if self.transport.is_closing():
            return
        self.head_open = False
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        api = hot_api(self.url) or "chat"
        cycle = HotCycle(self, Head(api, {}, keep_alive=False, chunked=True))
        self.cycle = cycle
        self.dispatcher.turn_away(api, error, cycle.writer)
        self.transport.close()

    # Inside

    def _unread_s(self, now_s: float, busy: bool) -> float:
        """How long the client has taken nothing of an answer. An engine's has a call, which looks for itself."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if not unsent_bytes or (busy and isinstance(self.cycle, HotCycle)):
            self.reader = None
            return 0.0
        if self.reader is None:
            self.reader = SlowReader(now_s)
        return self.reader.stuck_s(unsent_bytes, now_s)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if isinstance(cycle, HotCycle):
            cycle.begin()
        else:
            super()._start_asgi_task(cycle, app)

    def _bad_head(self, headers: HeaderMap) -> ApiError | None:
        if self.head_bytes + self.read_bytes > HEAD_LIMIT_BYTES:  # may be: the read can hold a body too
            exact = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if exact > HEAD_LIMIT_BYTES:
                return head_too_large()
        if len(self.headers) > HEADERS_LIMIT:
            return ApiError(431, "headers_too_large", f"the request has more than {HEADERS_LIMIT} headers")
        if sum(name == b"host" for name, _ in self.headers) > 1:
            return invalid("a request has one Host header", code="invalid_http")
        if sum(name == CLASS_HEADER for name, _ in self.headers) > 1:
            return repeated()
        if b"host" in headers and not self.hosts.allows(headers[b"host"]):
            return ApiError(421, "unknown_host", UNKNOWN_HOST)
        if b"host" not in headers and self.parser.get_http_version() != "1.0":
            return invalid("a request needs a Host header", code="invalid_http")
        return None

    def _build_scope(self, headers: HeaderMap) -> None:
        url, pairs = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.expect_100_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        self.headers.extend(pairs)  # the list that the scope holds


UNKNOWN_HOST = (
    "this gateway does not go by the name in `Host`; its operator can add it to gateway.hosts in cluster.yaml"
)


def hot_api(url: bytes) -> Api | None:
    """The dialect of a hot route, whatever its query says: Claude Code adds one."""
    return HOT_PATHS.get(url) or HOT_PATHS.get(url.partition(b"?")[0])


def head_too_large() -> ApiError:
    return ApiError(431, "headers_too_large", f"the request head is larger than {HEAD_LIMIT_BYTES} bytes")

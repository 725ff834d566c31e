"""The node's TLS port: control goes to the ASGI app, data to the relay, and what a role may not do is refused here."""

import asyncio

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from nodes.deny_list import DenyList
from nodes.engine_relay import BODY_LIMIT_BYTES, EngineRelay, Relayed, answer_error
from nodes.relay.contract import Headers
from nodes.relay.http1_writer import CONTINUE, Http1Writer
from nodes.tls_access import EngineCall, engine_call, may
from nodes.tls_server import PeerProtocol

log = structlog.get_logger("potluck.node.tls")

_NOBODY_WAITS = asyncio.Event()


class NodeProtocol(PeerProtocol):
    """One connection of the controller or a gateway."""

    def __init__(self, config: Config, server_state: ServerState, deny_list: DenyList, relay: EngineRelay) -> None:
        super().__init__(config, server_state, deny_list)
        self.relay = relay

    # Calls by the event loop

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if isinstance(self.cycle, EngineCycle):
            self.cycle.gone()

    def pause_writing(self) -> None:
        super().pause_writing()
        if isinstance(self.cycle, EngineCycle):
            self.cycle.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if isinstance(self.cycle, EngineCycle):
            self.cycle.resume()

    # Calls by the parser

    def on_headers_complete(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # no client of ours sends a request before it has the answer to the last one
            return
        method, path = self.parser.get_method().decode(), self.url.decode("latin-1")
        allowed = self.peer is not None and may(self.peer.role, method, path)
        call = engine_call(method, path) if allowed else None
        if allowed and call is None:
            super().on_headers_complete()
            return
        self.cycle = EngineCycle(self, call, self.parser.should_keep_alive())
        if not allowed:
            log.warning("peer_forbidden", peer=str(self.peer), address=self.client, method=method, path=path)
            self.cycle.refuse(403, "forbidden", f"{self.peer} may not {method} {path} here")
        elif self.expect_100_continue:
            self.transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        if isinstance(self.cycle, EngineCycle):
            self.cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if isinstance(self.cycle, EngineCycle):
            self.cycle.body_complete()
        else:
            super().on_message_complete()

    def shutdown(self) -> None:
        super().shutdown()
        if isinstance(self.cycle, EngineCycle):
            self.cycle.writer.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert not isinstance(cycle, EngineCycle), "only the relay answers these"
        super()._start_asgi_task(cycle, app)


class EngineCycle(RequestResponseCycle):
    """One relayed request. Stands where uvicorn keeps its request cycle; has of it what its protocol reads."""

    def __init__(  # the parent's is not called: its parts serve an ASGI task, and there is none
        self, protocol: NodeProtocol, call: EngineCall | None, keep_alive: bool
    ) -> None:
        self.message_event = _NOBODY_WAITS
        self.response_complete = self.disconnected = False
        self.keep_alive = keep_alive
        self._protocol, self._call = protocol, call
        self._method = protocol.parser.get_method()
        self._headers: Headers = protocol.headers
        self._pieces: list[bytes] = []
        self._received = 0
        self._receiving = True
        self._relayed: Relayed | None = None
        self.writer = Http1Writer(protocol.transport, keep_alive, chunked=True, prelude=b"", on_complete=self._complete)

    def feed(self, body: bytes) -> None:
        self._received += len(body)
        if self._received > BODY_LIMIT_BYTES:
            self._protocol.transport.abort()
        elif not self.response_complete:
            self._pieces.append(body)

    def body_complete(self) -> None:
        self._receiving = False
        if self.response_complete:
            self._protocol.transport.close()
        elif self._call is not None:
            body = b"".join(self._pieces)
            self._pieces.clear()
            relayed = self._protocol.relay.start(self._call, self._method, self._headers, body, self.writer)
            if not self.response_complete:
                self._relayed = relayed

    def refuse(self, status: int, code: str, message: str) -> None:
        self.writer.keep_alive = False
        answer_error(self.writer, status, code, message)

    def pause(self) -> None:
        self.writer.paused = True
        if self._relayed is not None:
            self._relayed.exchange.pause()

    def resume(self) -> None:
        self.writer.paused = False
        if self._relayed is not None:
            self._relayed.exchange.resume()

    def gone(self) -> None:
        """The gateway has left: close the connection to the engine, which frees its slot."""
        if self._relayed is not None:
            self._relayed.exchange.cancel()

    def _complete(self) -> None:
        self.response_complete = True
        self._relayed = None
        if not self.writer.keep_alive and not self._receiving:
            self._protocol.transport.close()
        self._protocol.on_response_complete()

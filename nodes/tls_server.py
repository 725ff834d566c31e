"""An HTTPS server that knows its peers: uvicorn's HTTP protocol with the peer certificate read from the transport.

uvicorn cannot hand the certificate of a client to an app, so connections are accepted here. An app finds who asks in
`request.state.peer`; it is None only where the TLS context lets clients in that prove nothing.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from nodes.deny_list import DenyList
from nodes.peer import NotAPeerError, Peer, peer_of
from nodes.relay.sockets import notice_dead_peer, set_no_delay

HANDSHAKE_S = 5.0
HEAD_LIMIT_BYTES = 64 * 1024
WRITE_BUFFER_BYTES = 64 * 1024
KEEP_ALIVE_S = 75
GOODBYE_S = 2.0

log = structlog.get_logger("potluck.tls")

ProtocolFactory = Callable[[Config, ServerState, DenyList], "PeerProtocol"]


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen and as whom."""

    listener: socket.socket
    context: ssl.SSLContext


class PeerProtocol(HttpToolsProtocol):
    """One connection of one peer."""

    peer: Peer | None = None
    head_bytes = 0

    def __init__(self, config: Config, server_state: ServerState, deny_list: DenyList) -> None:
        super().__init__(config, server_state, {}, asyncio.get_running_loop())
        self._deny_list = deny_list

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        set_no_delay(transport)
        notice_dead_peer(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        certificate: dict[str, Any] | None = transport.get_extra_info("peercert")
        try:
            self.peer = peer_of(certificate) if certificate else None
        except NotAPeerError as error:
            log.warning("peer_refused", address=self.client, reason=str(error))
            transport.abort()
            return
        self.app_state = {"peer": self.peer}
        self.drop_if_denied()

    def drop_if_denied(self) -> None:
        if self.peer is not None and self.peer.serial in self._deny_list:
            log.warning("peer_refused", address=self.client, peer=str(self.peer), reason="its certificate is revoked")
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.head_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def _count(self, size_bytes: int) -> None:
        self.head_bytes += size_bytes
        if self.head_bytes > HEAD_LIMIT_BYTES:
            self.transport.abort()


async def serve_tls(
    app: ASGIApp, door: Door, deny_list: DenyList, stop: asyncio.Event, protocol: ProtocolFactory = PeerProtocol
) -> None:
    """Serve until `stop`, then let open answers end for a moment. Closes the listener."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()

    def drop_denied() -> None:
        for connection in tuple(state.connections):
            if isinstance(connection, PeerProtocol):
                connection.drop_if_denied()

    deny_list.on_change(drop_denied)
    server = await loop.create_server(
        lambda: protocol(config, state, deny_list),
        sock=door.listener,
        ssl=door.context,
        ssl_handshake_timeout=HANDSHAKE_S,
    )
    try:
        await stop.wait()
    finally:
        server.close()
        await _say_goodbye(state)


async def _say_goodbye(state: ServerState) -> None:
    for connection in tuple(state.connections):
        connection.shutdown()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            while state.connections:  # noqa: ASYNC110 - a connection tells that it is gone by leaving this set only
                await asyncio.sleep(0.02)
    for connection in tuple(state.connections):
        connection.transport.abort()

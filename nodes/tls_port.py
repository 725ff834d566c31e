"""A node's one TLS port: control and data behind mutual TLS, from the first bind to the last goodbye."""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial

import structlog
from starlette.types import ASGIApp

from nodes.deny_list import DenyList
from nodes.engine_relay import EngineRelay
from nodes.relay.sockets import listen_tcp
from nodes.snapshot import EngineSnapshot
from nodes.tls_protocol import NodeProtocol
from nodes.tls_server import Door, serve_tls

BIND_AGAIN_S = 2.0

log = structlog.get_logger("potluck.node.tls")

Engines = Callable[[], tuple[EngineSnapshot, ...]]


async def serve_node(app: ASGIApp, engines: Engines, door: Door, deny_list: DenyList, stop: asyncio.Event) -> None:
    """Serve until `stop`."""
    relay = EngineRelay(engines)
    try:
        await serve_tls(app, door, deny_list, stop, partial(NodeProtocol, relay=relay))
    finally:
        relay.close()


async def open_door(host: str, port: int, context: ssl.SSLContext, stop: asyncio.Event) -> Door | None:
    """Tries until the address can be had: after a reboot a network may come later than this process. None at `stop`."""
    told = False
    while not stop.is_set():
        try:
            return Door(listen_tcp(host, port), context)
        except OSError as error:
            if not told:
                log.warning("cannot_listen", host=host, port=port, reason=str(error), again_every_s=BIND_AGAIN_S)
            told = True
        try:
            await asyncio.wait_for(stop.wait(), BIND_AGAIN_S)
        except TimeoutError:
            continue
    return None

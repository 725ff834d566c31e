"""What the relay asks of its TCP sockets, listening ones and those of a transport, plain or TLS."""

import asyncio
import socket

PROBE_AFTER_S, PROBE_EVERY_S, PROBES = 5, 2, 3


def listen_tcp(host: str, port: int, backlog: int = 256) -> socket.socket:
    """Listens from here on; what it accepts inherits what asyncio needs to turn Nagle off. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def set_no_delay(transport: asyncio.BaseTransport) -> None:
    """Small writes leave at once. Plain asyncio does so for some sockets only; a delayed ACK costs 40 ms a token."""
    sock = _tcp_socket(transport)
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def notice_dead_peer(transport: asyncio.BaseTransport) -> None:
    """Let the kernel ask a silent machine whether it is still there: one that lost its power says no goodbye."""
    sock = _tcp_socket(transport)
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # macOS calls the first of them TCP_KEEPALIVE.
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    for option, value in (
        (idle, PROBE_AFTER_S),
        (getattr(socket, "TCP_KEEPINTVL", None), PROBE_EVERY_S),
        (getattr(socket, "TCP_KEEPCNT", None), PROBES),
    ):
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _tcp_socket(transport: asyncio.BaseTransport) -> socket.socket | None:
    sock: socket.socket | None = transport.get_extra_info("socket")
    return sock if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6) else None

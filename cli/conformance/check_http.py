"""Checks of HTTP itself, byte by byte: what has to be refused, cut off, or answered in order."""

import asyncio
import socket
from time import monotonic

from cli.conformance.dialects import CHAT
from cli.conformance.raw import Door, Said
from cli.conformance.server import Server
from cli.conformance.verdicts import Check, Seen, failed, not_tried, passed

CLOSE = "Connection: close"
SOON_S = 3.0
LARGE = "x" * 128 * 1024
UNREAD_REQUESTS = 20_000  # whose answers are some megabytes
BATCH = 50


def refused(said: Said) -> Seen:
    """Every answer is a refusal, or there is none and the connection is closed."""
    if not said.statuses and said.after_s is None:
        return failed("no answer, and the connection stays open")
    return passed(said.told) if all(400 <= status < 500 for status in said.statuses) else failed(said.told)


async def no_host(server: Server) -> Seen:
    return refused(await server.door.say(server.head("GET", "/v1/models", CLOSE, host=False), SOON_S, enough=1))


async def two_hosts(server: Server) -> Seen:
    request = server.head("GET", "/v1/models", "Host: localhost", CLOSE)
    return refused(await server.door.say(request, SOON_S, enough=1))


async def two_lengths(server: Server) -> Seen:
    smuggled = server.head("GET", "/v1/models", CLOSE)
    fields = ("Content-Type: application/json", "Transfer-Encoding: chunked", f"Content-Length: {5 + len(smuggled)}")
    said = await server.door.say(server.head("POST", CHAT.path, *fields) + b"0\r\n\r\n" + smuggled, SOON_S, enough=2)
    if len(said.statuses) > 1:
        return failed(f"two answers: {said.told}")
    return refused(said) if said.after_s is not None else failed(f"{said.told}, and the connection stays open")


async def bare_lines(server: Server) -> Seen:
    request = server.head("GET", "/v1/models", CLOSE).replace(b"\r\n", b"\n")
    return refused(await server.door.say(request, SOON_S, enough=1))


async def large_header(server: Server) -> Seen:
    return refused(
        await server.door.say(server.head("GET", "/v1/models", f"X-Large: {LARGE}", CLOSE), SOON_S, enough=1)
    )


async def half_head(server: Server) -> Seen:
    request = server.head("GET", "/v1/models")[:-2]
    return _cut(await server.door.say(request, server.target.patience_s), server)


async def half_body(server: Server) -> Seen:
    request = server.head("POST", CHAT.path, "Content-Type: application/json", "Content-Length: 1000") + b'{"model":'
    return _cut(await server.door.say(request, server.target.patience_s), server)


def _cut(said: Said, server: Server) -> Seen:
    if said.after_s is None:
        return failed(f"still open after {server.target.patience_s:.0f} s")
    return passed(f"{said.told} after {said.after_s:.0f} s")


async def slow_reader(server: Server) -> Seen:
    """Asks on and on and reads nothing: answers pile up at the server until it stops, or cuts the connection."""
    patience_s, began, sent = server.target.patience_s, monotonic(), 0
    request = server.head("GET", "/v1/models")
    _, writer = await _narrow(server.door)
    try:
        while sent < UNREAD_REQUESTS:
            writer.write(request * BATCH)
            await asyncio.wait_for(writer.drain(), began + patience_s - monotonic())
            sent += BATCH
    except ConnectionError:
        return passed(f"cut after {monotonic() - began:.0f} s and some {sent} unread answers")
    except TimeoutError:
        return failed(f"still open after {patience_s:.0f} s with some {sent} unread answers")
    finally:
        writer.transport.abort()
    return failed(f"it went on taking requests: {sent}, and no answer was read")


async def _narrow(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that holds as little as it can."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    narrow = socket.socket(family, kind, protocol)
    narrow.setblocking(False)
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await loop.sock_connect(narrow, address)
    name = door.host if door.tls else None
    reader, writer = await asyncio.open_connection(sock=narrow, ssl=door.tls, server_hostname=name, limit=1024)
    writer.transport.set_write_buffer_limits(high=0)
    return reader, writer


async def after_an_error(server: Server) -> Seen:
    """Two requests on one connection, the second once the first was answered."""
    bad = server.head("POST", CHAT.path, "Content-Type: application/json", "Content-Length: 1") + b"{"
    reader, writer = await server.door.open(2**20)
    try:
        async with asyncio.timeout(SOON_S):
            writer.write(bad)
            first = await _one_answer(reader)
            if b"\r\nconnection: close" in first.lower():
                return passed("closed, and says so")
            writer.write(server.head("GET", "/v1/models"))
            second = await _one_answer(reader)
    except (ConnectionError, asyncio.IncompleteReadError):
        return failed("closed without saying so")
    finally:
        writer.transport.abort()
    return passed("the next answer is 200") if second.startswith(b"HTTP/1.1 200") else failed(f"{second[9:12]!r}")


async def _one_answer(reader: asyncio.StreamReader) -> bytes:
    """Its head, with its body read and forgotten."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if lengths:
        await reader.readexactly(int(lengths[0].partition(b":")[2]))
    elif b"chunked" in head.lower():
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    return head


async def pipelined(server: Server) -> Seen:
    twice = server.head("GET", "/v1/models") + server.head("GET", "/v1/models/conformance-no-such-model", CLOSE)
    said = await server.door.say(twice, SOON_S, enough=2)
    if said.statuses == [200, 404]:
        return passed("both, in order")
    if len(said.statuses) == 1 and said.after_s is not None:
        return passed(f"{said.told}, then closed")
    return failed(f"{said.told} instead of 200, 404")


async def head_only(server: Server) -> Seen:
    said = await server.door.say(server.head("HEAD", "/v1/models", CLOSE), SOON_S)
    _, _, rest = said.content.partition(b"\r\n\r\n")
    if not said.statuses or said.statuses[0] in (500, 502, 503, 504):  # 501 says that it has no such method
        return failed(said.told)
    return failed(f"{said.told} with {len(rest)} bytes of a body") if rest else passed(f"{said.told}, no body")


async def trace(server: Server) -> Seen:
    said = await server.door.say(server.head("TRACE", "/v1/models", "X-Mine: conformance-mirror", CLOSE), SOON_S)
    if b"conformance-mirror" in said.content:
        return failed("the request comes back")
    return passed(said.told) if said.content else not_tried(said.told)


SMUGGLING = "Where two servers in a row disagree on where a request ends, one client's bytes become another's request."
HELD = "Connections that cost nothing to hold are how one client takes them all."
CHECKS = (
    Check("no-host", "http", "A request of HTTP/1.1 without a Host is refused.", SMUGGLING, no_host),
    Check("two-hosts", "http", "A request with two Hosts is refused.", SMUGGLING, two_hosts),
    Check(
        "length-and-chunked",
        "http",
        "A body with a length and chunks is refused, and the connection closed.",
        SMUGGLING,
        two_lengths,
    ),
    Check("bare-lf", "http", "Lines that end without a carriage return are refused.", SMUGGLING, bare_lines),
    Check("large-header", "http", "A header of 128 KiB is refused.", HELD, large_header),
    Check("half-head", "http", "A head that does not arrive is cut off.", HELD, half_head, beside=True),
    Check("half-body", "http", "A body that stops arriving is cut off.", HELD, half_body, beside=True),
    Check(
        "slow-reader",
        "http",
        "A reader that takes nothing is cut off, and answers do not pile up for it.",
        HELD,
        slow_reader,
        beside=True,
    ),
    Check(
        "after-an-error",
        "http",
        "After a refusal the connection serves on, or says that it is closed.",
        "Pools of connections break on a close that nobody told them of.",
        after_an_error,
    ),
    Check(
        "pipelining",
        "http",
        "Two requests sent at once are answered in order, or the second is dropped with a close.",
        "Answers in the wrong order go to the wrong question.",
        pipelined,
    ),
    Check("head", "http", "HEAD has no body.", "A body would be read as the next answer.", head_only),
    Check("trace", "http", "TRACE does not send a request back.", "Its headers hold a key.", trace),
)

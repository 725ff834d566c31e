"""A node's TLS port with real certificates: who gets in, what each role may do, and the relay to an engine."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from inventory.secret_files import write_secret
from nodes.api_wire import TrustBody
from nodes.deny_list import DenyList
from nodes.identity import IdentityFiles
from nodes.peer import peer_host
from nodes.relay.contract import Address
from nodes.tls_contexts import client_context, trusting
from support.gateway import engine_at
from support.tls import NODE, Port, TestAuthority, running_port, serial_of
from support.upstream import (
    DONE,
    LAST_CHUNK,
    STREAM_HEAD,
    Asked,
    Upstream,
    answer_kindly,
    framed,
    scripted_upstream,
    token_event,
)

CHAT = "/engines/toy-1/v1/chat/completions"


SNI = {"sni_hostname": peer_host("node", NODE)}


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    async with running_port(tmp_path) as running:
        yield running


async def status(port: Port, files: IdentityFiles, method: str, path: str) -> int:
    async with port.client(files) as client:
        return (await client.request(method, path, extensions=SNI)).status_code


async def test_the_app_is_told_who_asks(port: Port) -> None:
    async with port.client(port.ca.identity("controller", "head")) as client:
        answer = await client.get("/node/v1/observe", extensions=SNI)

    assert answer.json() == {"rest": "observe", "peer": "controller head"}


async def test_a_machine_may_be_called_like_its_cluster(port: Port) -> None:
    assert await status(port, port.ca.identity("controller", port.ca.cluster), "GET", "/node/v1/observe") == 200


@pytest.mark.parametrize(
    ("role", "method", "path", "expected"),
    [
        ("controller", "PUT", "/node/v1/engines/x", 200),
        ("controller", "POST", "/node/v1/shutdown", 403),
        ("gateway", "GET", "/node/v1/observe", 200),
        ("gateway", "PUT", "/node/v1/engines/x", 403),
        ("gateway", "GET", "/docs", 403),
        ("gateway", "POST", "/engines/toy-1/pause", 403),
        ("gateway", "POST", "/engines/toy-1/../../node/v1/x", 403),
        ("gateway", "POST", f"{CHAT}?q=1", 403),
        ("gateway", "POST", CHAT, 503),
        ("node", "GET", "/node/v1/observe", 403),
        ("node", "POST", CHAT, 403),
    ],
)
async def test_a_role_may_do_what_is_listed_and_nothing_else(
    port: Port, role: str, method: str, path: str, expected: int
) -> None:
    files = port.ca.identity(role, "somebody")  # type: ignore[arg-type]  # parametrised
    async with port.client(files) as client:
        request = client.build_request(method, "/", extensions=SNI)
        request.url = request.url.copy_with(raw_path=path.encode())  # as it stands: clients tidy dots away
        assert (await client.send(request)).status_code == expected


async def test_strangers_end_at_the_handshake(port: Port, tmp_path: Path) -> None:
    other = TestAuthority(tmp_path / "other").identity("controller", "head")
    forged = IdentityFiles(other.key, other.certificate, port.ca.identity("controller", "head").ca)
    own_ca = port.ca.authority.certificate_pem
    for context in (trusting(own_ca), client_context(forged)):
        async with port.with_context(context) as client:
            with pytest.raises(httpx2.TransportError):
                await client.get("/node/v1/observe", extensions=SNI)


async def test_plain_http_and_old_tls_get_nothing(port: Port) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    writer.write(b"GET /node/v1/observe HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()
    old = client_context(port.ca.identity("controller", "head"))
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with port.with_context(old) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("/node/v1/observe", extensions=SNI)


async def test_a_client_refuses_a_machine_of_another_name(port: Port) -> None:
    async with port.client(port.ca.identity("controller", "head")) as client:
        with pytest.raises(httpx2.ConnectError, match=r"(?i)hostname mismatch"):
            await client.get("/node/v1/observe", extensions={"sni_hostname": peer_host("node", "another")})


async def test_a_revoked_certificate_is_cut_at_once_and_cannot_come_back(port: Port) -> None:
    async with engine_of(port) as upstream:
        gateway = port.ca.identity("gateway", "gw")
        async with port.client(gateway) as client, client.stream("POST", CHAT, json={}, extensions=SNI) as answer:
            stream = answer.aiter_raw()
            assert await anext(stream) == token_event("a")
            port.deny_list.replace(TrustBody(1, (serial_of(gateway),)))
            with pytest.raises(httpx2.TransportError):
                await anext(stream)
        await upstream.until(lambda engine: engine.open_now == 0)
        with pytest.raises(httpx2.TransportError):
            await status(port, gateway, "GET", "/node/v1/observe")

    assert await status(port, port.ca.identity("gateway", "gw"), "GET", "/node/v1/observe") == 200


def test_a_deny_list_never_goes_back_and_survives_a_restart(tmp_path: Path) -> None:
    first = DenyList(tmp_path)
    first.replace(TrustBody(2, ("AB",)))
    first.replace(TrustBody(1, ()))

    assert "AB" in DenyList(tmp_path)


@asynccontextmanager
async def engine_of(port: Port, stay: bool = True) -> AsyncIterator[Upstream]:
    """An engine behind the port that streams one token; it stays silent after it, or ends."""

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(token_event("a")))
        if not stay:
            writer.write(framed(DONE) + LAST_CHUNK)

    async with scripted_upstream(script) as upstream:
        port.engines[:] = [engine_at(upstream.address)]
        yield upstream


async def test_a_stream_is_relayed_untouched_with_the_engines_own_secret(port: Port, tmp_path: Path) -> None:
    write_secret(tmp_path / "key", "engine-secret")
    async with engine_of(port, stay=False) as upstream:
        port.engines[:] = [engine_at(upstream.address, secret_file=tmp_path / "key")]
        headers = {
            "x-request-id": "req-7",
            "traceparent": "00-1-2-01",
            "authorization": "Bearer of-a-client",
            "cookie": "a=b",
        }
        async with port.client(port.ca.identity("gateway", "gw")) as client:
            answer = await client.post(CHAT, content=b'{"a": 1}', headers=headers, extensions=SNI)

    head = upstream.asked[0].head.lower()
    assert answer.content == token_event("a") + DONE
    assert answer.headers["content-type"] == "text/event-stream"
    assert upstream.asked[0].body == b'{"a": 1}'
    assert b"authorization: bearer engine-secret\r\n" in head
    assert b"x-request-id: req-7\r\n" in head and b"traceparent: 00-1-2-01\r\n" in head
    assert b"cookie" not in head and b"of-a-client" not in head
    assert head.startswith(b"post /v1/chat/completions http/1.1")


async def test_whole_answers_and_health_pass_too_on_one_connection(port: Port) -> None:
    async with scripted_upstream(answer_kindly) as upstream:
        port.engines[:] = [engine_at(upstream.address)]
        async with port.client(port.ca.identity("gateway", "gw")) as client:
            health = await client.get("/engines/toy-1/health", extensions=SNI)
            whole = await client.post(CHAT, json={"stream": False}, extensions=SNI)

        assert (health.status_code, whole.json()["choices"][0]["message"]["content"]) == (200, "Hello")
        assert upstream.connections == 1


async def test_a_gateway_that_leaves_frees_the_engine(port: Port) -> None:
    async with engine_of(port) as upstream, port.client(port.ca.identity("gateway", "gw")) as client:
        async with client.stream("POST", CHAT, json={}, extensions=SNI) as answer:
            await anext(answer.aiter_raw())
        await upstream.until(lambda engine: engine.open_now == 0)


async def test_an_engine_that_dies_in_mid_stream_cuts_the_stream(port: Port) -> None:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(token_event("a")))
        await writer.drain()
        writer.close()

    async with scripted_upstream(script) as upstream:
        port.engines[:] = [engine_at(upstream.address)]
        async with port.client(port.ca.identity("gateway", "gw")) as client:
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.post(CHAT, json={}, extensions=SNI)


async def test_an_engine_that_is_not_there_is_502_and_one_without_a_port_503(port: Port) -> None:
    nowhere = socket.socket()
    nowhere.bind(("127.0.0.1", 0))
    async with port.client(port.ca.identity("gateway", "gw")) as client:
        port.engines[:] = [engine_at(Address("127.0.0.1", nowhere.getsockname()[1]))]
        dead = await client.post(CHAT, json={}, extensions=SNI)
        port.engines[:] = [replace(engine_at(None), state="backoff")]
        absent = await client.post(CHAT, json={}, extensions=SNI)
    nowhere.close()

    assert (dead.status_code, dead.json()["error"]["code"]) == (502, "engine_connect")
    assert (absent.status_code, absent.json()["error"]["code"]) == (503, "engine_unavailable")


async def test_a_slow_gateway_holds_the_engine_back_and_nothing_piles_up_here(port: Port) -> None:
    sent = 0
    piece = framed(b"data: " + b"x" * 60_000 + b"\n\n")

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(STREAM_HEAD)
        while sent < 2000:
            writer.write(piece)
            await writer.drain()
            sent += 1

    async with scripted_upstream(script) as upstream:
        port.engines[:] = [engine_at(upstream.address)]
        context = client_context(port.ca.identity("gateway", "gw"))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port.port, ssl=context, server_hostname=peer_host("node", NODE), limit=1024
        )
        writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while sent != before:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 1000  # 120 MB in all; what fits into the buffers of six sockets is far less
        writer.transport.abort()
        await upstream.until(lambda engine: engine.open_now == 0)

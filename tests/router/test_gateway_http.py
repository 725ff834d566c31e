"""HTTP as it comes over the wire, byte by byte, on the hot routes and beside them."""

import asyncio
import json
import socket
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from nodes.relay.contract import Address
from router.asgi_host import AsgiRelay
from router.gateway import create_app
from support.gateway import KEY, engine_at, running_gateway
from support.upstream import DONE, answer_kindly, scripted_upstream

ASK = json.dumps({"model": "toy", "messages": [{"role": "user", "content": "hi"}]}).encode()
STREAM = ASK[:-1] + b', "stream": true}'
HOT = ("/v1/chat/completions", "/v1/completions")


def post(body: bytes, *lines: str, path: str = HOT[0], version: str = "1.1", length: bool = True) -> bytes:
    fields = [f"POST {path} HTTP/{version}", "host: localhost", f"authorization: Bearer {KEY}", *lines]
    if length:
        fields.append(f"content-length: {len(body)}")
    return ("\r\n".join(fields) + "\r\n\r\n").encode() + body


async def speak(address: Address, *pieces: bytes) -> bytes:
    """Send the pieces one by one and read until the gateway closes."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


CLOSE = "connection: close"


async def test_requests_in_a_row_on_one_connection_are_answered_in_order(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
    ):
        models = f"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\r\n".encode()
        answer = await speak(running.address, post(ASK) + models + post(STREAM) + post(ASK, CLOSE))

    kinds = [part.split(b"\r\n")[0] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert kinds == [b"200 OK"] * 4
    assert answer.index(b'"Hello"') < answer.index(b'"object":"list"') < answer.index(DONE) < answer.rindex(b'"Hello"')


async def test_a_request_may_arrive_one_byte_at_a_time(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
    ):
        request = post(ASK, CLOSE)
        answer = await speak(running.address, *(request[at : at + 1] for at in range(len(request))))

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_chunked_body_is_read(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
    ):
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ASK), ASK)
        head = post(b"", CLOSE, "transfer-encoding: chunked", length=False)
        answer = await speak(running.address, head, chunked)

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_expect_100_continue_is_answered_before_the_body_is_sent(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
    ):
        reader, writer = await asyncio.open_connection(running.address.host, running.address.port)
        request = post(ASK, "expect: 100-continue", CLOSE)
        writer.write(request[: -len(ASK)])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(ASK)
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("body", [ASK, STREAM])
async def test_http_1_0_gets_no_chunks_and_its_connection_closed(tmp_path: Path, body: bytes) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
    ):
        head, _, content = (await speak(running.address, post(body, version="1.0"))).partition(b"\r\n\r\n")

    assert b"chunked" not in head
    assert content.endswith(DONE if body is STREAM else b"}")


async def test_a_body_beyond_the_limit_is_a_413_announced_or_not(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        announced = await speak(running.address, post(b"", "content-length: 10000001", length=False))
        piece = b"%x\r\n%b\r\n" % (1_000_000, b" " * 1_000_000)
        head = post(b"", "transfer-encoding: chunked", length=False)
        chunked = await speak(running.address, head, *([piece] * 11), b"0\r\n\r\n")

    for answer in (announced, chunked):
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"request_too_large"' in answer


async def test_a_head_beyond_the_limit_is_a_431_whole_or_not(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        whole = await speak(running.address, post(ASK, f"x: {'y' * 70_000}"))
        start = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: "
        with suppress(ConnectionResetError):  # closed while the client still sends: the answer may be lost
            assert (await speak(running.address, start, *([b"y" * 40_000] * 4))).startswith(b"HTTP/1.1 431 ")

    assert whole.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
async def test_what_is_no_proper_request_is_a_400_in_openai_shape(tmp_path: Path, request_bytes: bytes) -> None:
    async with running_gateway(tmp_path, []) as running:
        head, _, body = (await speak(running.address, request_bytes)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["host: evil.example"], 421),
        (["host: localhost.evil.example:80"], 421),
        (["host: localhost", "host: localhost"], 400),
        (["host: localhost", *(f"x-{number}: 1" for number in range(120))], 431),
        (["host: LOCALHOST:8400"], 200),
        (["host: [::1]:8400"], 200),
        (["host: 192.168.7.3"], 200),
    ],
)
async def test_only_our_own_names_and_so_many_headers_are_let_in(tmp_path: Path, lines: list[str], status: int) -> None:
    async with running_gateway(tmp_path, []) as running:
        for path in ("/healthz", HOT[0]):
            request = "\r\n".join([f"GET {path} HTTP/1.1", *lines, CLOSE]) + "\r\n\r\n"
            answer = await speak(running.address, request.encode())
            wanted = 401 if status == 200 and path == HOT[0] else status
            assert answer.startswith(b"HTTP/1.1 %d " % wanted), answer[:200]


async def test_lines_that_end_without_a_carriage_return_are_refused(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running:
        answer = await speak(running.address, b"GET /healthz HTTP/1.1\nhost: localhost\n\n")

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_head_and_get_on_a_hot_route_are_405(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        by_get, by_head = await client.get(HOT[0]), await client.head(HOT[0])

    assert (by_get.status_code, by_get.json()["error"]["code"]) == (405, "method_not_allowed")
    assert (by_head.status_code, by_head.content) == (405, b"")


async def test_a_path_that_does_not_exist_is_a_404_in_openai_shape(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        answer = await client.get("/v2/models")

    assert (answer.status_code, set(answer.json()["error"])) == (404, {"message", "type", "param", "code"})
    assert answer.headers["x-request-id"].startswith("req_")


async def test_the_key_may_come_as_x_api_key(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http(None) as client:
        answer = await client.get("/v1/models", headers={"x-api-key": KEY})

    assert answer.status_code == 200


async def test_the_routes_behind_plain_asgi_answer_as_the_bypass_does(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
    ):
        app = create_app(running.gateway.dispatcher, running.gateway.registry)
        headers = {"authorization": f"Bearer {KEY}"}
        async with (
            running.http() as direct,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://x", headers=headers) as asgi,
        ):
            for body in (ASK, STREAM, b"{", ASK.replace(b"toy", b"tou")):
                by_bypass, by_asgi = [await client.post(HOT[0], content=body) for client in (direct, asgi)]

                assert (by_asgi.status_code, by_asgi.content) == (by_bypass.status_code, by_bypass.content)
                names = {name for name in by_bypass.headers if name not in ("date", "transfer-encoding")}
                assert names == set(by_asgi.headers)
        assert running.in_flight == 0


async def test_a_client_that_leaves_an_asgi_host_frees_the_engine(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
    ):
        relay = AsgiRelay(running.gateway.dispatcher, "chat", 1000)
        messages = asyncio.Queue[dict[str, object]]()
        messages.put_nowait({"type": "http.request", "body": ASK})
        messages.put_nowait({"type": "http.disconnect"})

        async def send(message: object) -> None:
            """Nobody is there."""

        scope = {"type": "http", "headers": [(b"authorization", f"Bearer {KEY}".encode())]}
        async with asyncio.timeout(5):
            await relay(scope, messages.get, send)
        assert running.in_flight == 0


async def test_accepted_connections_send_small_writes_at_once(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, running.http() as client:
        await client.get("/healthz")
        context = running.gateway.dispatcher.context
        (connection,) = [paced for paced in running.gateway.sweeper.watched if hasattr(paced, "transport")]
        sock = connection.transport.get_extra_info("socket")

        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert context.live == ()


async def test_readiness_says_what_is_missing(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, [engine_at(None, state="starting")]) as running, running.http(None) as client:
        ready, alive = await client.get("/readyz"), await client.get("/healthz")

    assert alive.json() == {"status": "alive"}
    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["no engine is ready: toy is ready"]


async def test_metrics_count_what_was_served(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        await client.post(HOT[0], content=STREAM)
        await client.post(HOT[0], content=ASK.replace(b"toy", b"tou"))
        text = (await client.get("/metrics")).text

    assert 'potluck_requests_total{api="chat",model="toy",node="here",outcome="ok"} 1.0' in text
    assert 'potluck_requests_total{api="chat",model="unknown",node="",outcome="client_error"} 1.0' in text
    assert 'potluck_tokens_total{kind="output",model="toy",node="here"} 2.0' in text
    assert 'potluck_time_to_first_token_seconds_count{api="chat",model="toy",node="here"} 1.0' in text
    assert 'potluck_node_up{node="here"} 1.0' in text

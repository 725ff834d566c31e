"""Engines that die, clients that leave or do not read: each call ends once, properly, and frees what it held."""

import asyncio
import json
from pathlib import Path
from typing import cast

import pytest

from nodes.relay.contract import Address
from router.errors import stopping
from support.gateway import KEY, engine_at, running_gateway
from support.leaks import CANARY
from support.upstream import (
    DONE,
    STREAM_HEAD,
    Asked,
    answer_kindly,
    framed,
    scripted_upstream,
    token_event,
    whole,
)

BODY = json.dumps({"model": "toy", "messages": [{"role": "user", "content": CANARY}], "stream": True}).encode()
REQUEST = (
    f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
    f"content-length: {len(BODY)}\r\n\r\n".encode()
    + BODY
)


async def connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(address.host, address.port)


async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """One token, then silence for as long as the gateway stays."""
    writer.write(STREAM_HEAD + framed(token_event("a")))
    await asyncio.Event().wait()


async def dies_in_mid_stream(asked: Asked, writer: asyncio.StreamWriter) -> None:
    if asked.head.startswith(b"GET"):
        writer.write(whole(b"{}"))
        return
    writer.write(STREAM_HEAD + framed(token_event("a")) + framed(token_event("b")[:20]))
    await writer.drain()
    writer.close()


async def dies_at_once(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_two_hundred_clients_that_leave_close_their_connections_to_the_engine(tmp_path: Path) -> None:
    async with (
        scripted_upstream(endless) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address, slots=200)]) as running,
    ):
        clients = [await connect(running.address) for _ in range(200)]
        for _, writer in clients:
            writer.write(REQUEST)
        await asyncio.gather(*(reader.readuntil(b"data: ") for reader, _ in clients))
        assert running.in_flight == 200
        for _, writer in clients:
            writer.transport.abort()

        await upstream.until(lambda engine: engine.open_now == 0)
        assert running.in_flight == 0
        assert [record.outcome for record in running.finished()] == ["cancelled"] * 200


async def test_an_engine_that_dies_in_mid_stream_ends_it_with_an_error_event(tmp_path: Path) -> None:
    async with (
        scripted_upstream(dies_in_mid_stream) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY)
        events = answer.content.split(b"\n\n")

        assert events[0] + b"\n\n" == token_event("a")
        error = json.loads(events[1].removeprefix(b"data: "))["error"]
        assert (error["type"], error["code"]) == ("server_error", "upstream_failure")
        assert events[2:] == [b"data: [DONE]", b""]
        (record,) = running.finished()
        assert (record.outcome, record.output_tokens, record.tokens_exact) == ("node_lost", 1, False)
        assert running.in_flight == 0


async def test_a_stream_without_its_end_marker_is_not_passed_off_as_whole(tmp_path: Path) -> None:
    async def forgets_the_end(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(token_event("a")) + b"0\r\n\r\n")

    async with (
        scripted_upstream(forgets_the_end) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY)

    assert b'"code":"upstream_failure"' in answer.content
    assert answer.content.endswith(DONE)


async def test_an_engines_own_error_event_is_translated_not_leaked(tmp_path: Path) -> None:
    async def fails(asked: Asked, writer: asyncio.StreamWriter) -> None:
        error = b'data: {"error": {"message": "boom", "code": 500, "secret": 1}}\n\n'
        writer.write(STREAM_HEAD + framed(token_event("a")) + framed(error) + framed(DONE) + b"0\r\n\r\n")

    async with (
        scripted_upstream(fails) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY)

    assert b"secret" not in answer.content
    assert b'"code":"engine_error"' in answer.content
    assert answer.content.count(DONE) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_an_engine_that_dies_before_its_first_byte_is_replaced_by_another(tmp_path: Path, stream: bool) -> None:
    async with (
        scripted_upstream(dies_at_once) as dead,
        scripted_upstream(answer_kindly) as well,
        running_gateway(tmp_path, [engine_at(dead.address, "toy-1"), engine_at(well.address, "toy-2")]) as running,
        running.http() as client,
    ):
        body = BODY if stream else BODY.replace(b"true", b"false")
        answer = await client.post("/v1/chat/completions", content=body)

        assert answer.status_code == 200
        assert answer.headers["x-potluck-engine"] == "toy-2"
        assert answer.headers["x-potluck-route-reason"] == "fallback"
        (record,) = running.finished()
        assert (record.outcome, record.attempts, record.output_tokens) == ("ok", 2, 2)
        assert running.in_flight == 0


async def test_an_error_within_the_stream_of_a_whole_answer_is_an_error_answer(tmp_path: Path) -> None:
    async def fails(asked: Asked, writer: asyncio.StreamWriter) -> None:
        error = b'data: {"error": {"message": "boom", "code": 500}}\n\n'
        writer.write(STREAM_HEAD + framed(token_event("a")) + framed(error) + b"0\r\n\r\n")

    async with (
        scripted_upstream(fails) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY.replace(b"true", b"false"))

        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_error")
        assert upstream.asked[0].json["stream"] is True


async def test_a_whole_answer_that_broke_off_is_asked_for_again_elsewhere(tmp_path: Path) -> None:
    async with (
        scripted_upstream(dies_in_mid_stream) as dead,
        scripted_upstream(answer_kindly) as well,
        running_gateway(tmp_path, [engine_at(dead.address, "toy-1"), engine_at(well.address, "toy-2")]) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY.replace(b"true", b"false"))

        assert answer.headers["x-potluck-engine"] == "toy-2"
        assert answer.json()["choices"][0]["message"]["content"] == "Hello"
        (record,) = running.finished()
        assert (record.outcome, record.attempts, record.stream) == ("ok", 2, False)


async def test_a_stream_that_makes_no_sense_is_no_whole_answer(tmp_path: Path) -> None:
    async def babbles(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(b'data: {"choices": 3}\n\n') + framed(DONE) + b"0\r\n\r\n")

    async with (
        scripted_upstream(babbles) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY.replace(b"true", b"false"))

        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failure")
        assert running.in_flight == 0


async def test_an_overlong_prompt_is_a_400_whoever_notices(tmp_path: Path) -> None:
    async def refuses(asked: Asked, writer: asyncio.StreamWriter) -> None:
        error = {
            "code": 400,
            "message": "request exceeds the available context size",
            "type": "exceed_context_size_error",
        }
        writer.write(whole(json.dumps({"error": error}).encode(), "400 Bad Request"))

    async with (
        scripted_upstream(refuses) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        by_engine = await client.post("/v1/chat/completions", content=BODY)
        long = json.dumps({"model": "toy", "messages": [{"role": "user", "content": "x" * 40_000}]})
        by_gateway = await client.post("/v1/chat/completions", content=long)

        for answer in (by_engine, by_gateway):
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert len(upstream.asked) == 1


async def test_a_client_that_does_not_read_is_cut_and_holds_little_meanwhile(tmp_path: Path) -> None:
    written = 0

    async def floods(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(STREAM_HEAD)
        while True:
            event = framed(token_event("x" * 8000))
            writer.write(event)
            written += len(event)
            await writer.drain()

    async with (
        scripted_upstream(floods) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)], slow_reader_s=0.3) as running,
    ):
        _, writer = await connect(running.address)
        cast(asyncio.Transport, writer.transport).pause_reading()
        writer.write(REQUEST)
        await upstream.until(lambda engine: engine.open_now == 1)
        await upstream.until(lambda engine: engine.open_now == 0)

        (record,) = running.finished()
        assert (record.outcome, record.error_code) == ("cancelled", "slow_reader")
        assert written < 40_000_000  # socket buffers of two connections, no more: nothing piles up in between
        writer.transport.abort()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_takes_too_long_altogether_is_ended(tmp_path: Path, stream: bool) -> None:
    async with (
        scripted_upstream(endless) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)], total_s=0.2) as running,
        running.http() as client,
    ):
        body = BODY if stream else BODY.replace(b"true", b"false")
        answer = await client.post("/v1/chat/completions", content=body)

        assert b'"code":"request_timeout"' in answer.content
        assert answer.status_code == (200 if stream else 504)
        await upstream.until(lambda engine: engine.open_now == 0)
        assert running.finished()[0].outcome == "timeout"


async def test_a_stopping_gateway_refuses_at_once_and_ends_what_runs(tmp_path: Path) -> None:
    async with (
        scripted_upstream(endless) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        reader, writer = await connect(running.address)
        writer.write(REQUEST)
        await reader.readuntil(b"data: ")
        running.gateway.dispatcher.draining = True
        refused = await client.post("/v1/chat/completions", content=BODY)
        for call in running.gateway.dispatcher.context.live:
            call.abandon(stopping())

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert b"gateway_stopping" in await reader.readuntil(DONE)
        await upstream.until(lambda engine: engine.open_now == 0)
        writer.close()


async def test_an_engine_is_given_our_request_id_and_its_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address, secret_file=secret)]) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY, headers={"x-request-id": "mine-1"})

        head = upstream.asked[0].head.decode()
        assert f"x-request-id: {answer.headers['x-request-id']}\r\n" in head
        assert "authorization: Bearer hush\r\n" in head
        assert KEY not in head
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["x-client-request-id"] == "mine-1"
        assert running.finished()[0].client_request_id == "mine-1"


async def test_a_llamacpp_stream_asks_for_progress_and_keeps_it_from_the_client(tmp_path: Path) -> None:
    async def tells_progress(asked: Asked, writer: asyncio.StreamWriter) -> None:
        progress = b'data: {"choices":[],"prompt_progress":{"total":9,"processed":3}}\n\n'
        writer.write(STREAM_HEAD + framed(progress) + framed(token_event("a")) + framed(DONE) + b"0\r\n\r\n")

    async with (
        scripted_upstream(tells_progress) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        running.http() as client,
    ):
        answer = await client.post("/v1/chat/completions", content=BODY)

        assert answer.content == token_event("a") + DONE
        assert upstream.asked[0].json["return_progress"] is True

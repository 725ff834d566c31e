"""A request whose head was seen before is answered as the first one was, however its bytes arrive."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nodes.relay.contract import Address
from support.gateway import KEY, access_with, engine_at, running_gateway
from support.upstream import Upstream, answer_kindly, scripted_upstream


def asked(words: str = "hi", *lines: str, key: str = KEY) -> bytes:
    body = json.dumps({"model": "toy", "messages": [{"role": "user", "content": words}]}).encode()
    fields = ("POST /v1/chat/completions HTTP/1.1", "host: localhost", f"authorization: Bearer {key}", *lines)
    return "\r\n".join((*fields, f"Content-Length: {len(body)}", "", "")).encode() + body


@asynccontextmanager
async def a_connection(address: Address) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def whole_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    return head, await reader.readexactly(int(length.split()[1]))


def prompts(upstream: Upstream) -> list[str]:
    return [json.loads(one.body)["messages"][0]["content"] for one in upstream.asked]


@pytest.mark.parametrize("piece", [1, 7, 200, 100_000])
async def test_bodies_of_any_length_follow_the_same_head(tmp_path: Path, piece: int) -> None:
    words = ["first", "second, and longer", "third " * 40, "4"]
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        a_connection(running.address) as (reader, writer),
    ):
        for one in words:
            request = asked(one)
            for at in range(0, len(request), piece):
                writer.write(request[at : at + piece])
                await writer.drain()
            head, body = await whole_answer(reader)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"Hello" in body

    assert prompts(upstream) == words


async def test_its_body_may_come_later(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        a_connection(running.address) as (reader, writer),
    ):
        for words in ("one", "two", "three"):
            head, _, body = asked(words).partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            await writer.drain()
            writer.write(body[:4])
            await writer.drain()
            writer.write(body[4:])
            assert (await whole_answer(reader))[0].startswith(b"HTTP/1.1 200 OK\r\n")

    assert prompts(upstream) == ["one", "two", "three"]


async def test_several_in_one_read_are_answered_in_order(tmp_path: Path) -> None:
    models = f"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\r\n".encode()
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        a_connection(running.address) as (reader, writer),
    ):
        writer.write(asked("known from here on"))
        await whole_answer(reader)
        writer.write(asked("a") + asked("b") + models + asked("c"))
        bodies = [(await whole_answer(reader))[1] for _ in range(4)]
        writer.write(models + asked("d"))
        bodies += [(await whole_answer(reader))[1] for _ in range(2)]
        writer.write(asked("e"))
        bodies.append((await whole_answer(reader))[1])

    assert [b'"object":"list"' in body for body in bodies] == [False, False, True, False, True, False, False]
    assert prompts(upstream) == ["known from here on", "a", "b", "c", "d", "e"]


async def test_a_request_that_names_itself_has_its_own_name_each_time(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        a_connection(running.address) as (reader, writer),
    ):
        for name in ("mine-1", "mine-2", "mine-1"):
            writer.write(asked("hi", f"x-client-request-id: {name}"))
            head, _ = await whole_answer(reader)
            assert f"x-client-request-id: {name}\r\n".encode() in head


async def test_a_wrong_key_is_wrong_each_time(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, []) as running, a_connection(running.address) as (reader, writer):
        for _ in range(3):
            writer.write(asked(key="pl_owner_" + "x" * 43))
            head, _ = await whole_answer(reader)
            assert head.startswith(b"HTTP/1.1 401 ")


async def test_a_revoked_key_is_wrong_at_once(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        a_connection(running.address) as (reader, writer),
    ):
        answers: list[bytes] = []
        for key_is_there in (True, True, False):
            if not key_is_there:
                running.view.install_access(access_with(running.paths, (), sequence=2))
            writer.write(asked())
            answers.append((await whole_answer(reader))[0].split(b"\r\n")[0])

    assert answers == [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.1 401 Unauthorized"]


async def test_what_is_no_request_after_a_known_head_is_refused(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [engine_at(upstream.address)]) as running,
        a_connection(running.address) as (reader, writer),
    ):
        for _ in range(2):
            writer.write(asked())
            await whole_answer(reader)
        writer.write(asked().replace(b"Content-Length: ", b"Content-Length: 1\r\nContent-Length: "))
        head, _ = await whole_answer(reader)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert await reader.read() == b""

"""Clients that leave in the middle of a stream free the engine's slots."""

import asyncio
import json

import pytest

from support.leaks import CANARY
from support.machine import Machine, Running, busy_slots, eventually, tokens_made

pytestmark = pytest.mark.e2e

CLIENTS, AT_ONCE = 200, 20


async def ask_for_a_long_answer(running: Running, stream: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request over a connection of its own."""
    host, port = running.root.removeprefix("http://").split(":")
    messages = [{"role": "user", "content": f"Tell a story of {CANARY}."}]
    body = json.dumps({"model": "smollm2", "messages": messages, "max_tokens": 1500, "stream": stream}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {running.api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head + body)
    return reader, writer


async def leave_after_first_bytes(running: Running, gate: asyncio.Semaphore) -> bool:
    """Read the first event of a long answer, and cut the line."""
    async with gate:
        reader, writer = await ask_for_a_long_answer(running, stream=True)
        seen = b""
        while b"data: {" not in seen and (piece := await asyncio.wait_for(reader.read(4096), 60)):
            seen += piece
        writer.transport.abort()
        return seen.startswith(b"HTTP/1.1 200")


async def test_200_clients_that_leave_mid_stream_leave_no_busy_slot(shared_machine: Machine, running: Running) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    started = await asyncio.gather(*(leave_after_first_bytes(running, gate) for _ in range(CLIENTS)))
    assert all(started)

    eventually(lambda: not busy_slots(shared_machine), 60, "every slot of the engine is idle")


async def test_a_client_that_leaves_a_whole_answer_frees_its_slot_too(
    shared_machine: Machine, running: Running
) -> None:
    """The engine itself goes on with such an answer to its end, 1,500 tokens here."""
    connections = [await ask_for_a_long_answer(running, stream=False) for _ in range(2)]
    before = tokens_made(shared_machine)
    eventually(lambda: len(busy_slots(shared_machine)) == 2, 30, "the engine generates both answers")
    for _, writer in connections:
        writer.transport.abort()
    await asyncio.sleep(0)  # abort closes on the loop's next turn

    eventually(lambda: not busy_slots(shared_machine), 60, "every slot of the engine is idle")
    assert tokens_made(shared_machine) - before < 1500

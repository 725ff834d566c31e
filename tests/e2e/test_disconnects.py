"""Clients that leave in the middle of a stream free the engine's slots."""

import asyncio
import json
from pathlib import Path

import httpx2
import pytest

from support.machine import Machine, Running, eventually

pytestmark = pytest.mark.e2e

CLIENTS, AT_ONCE = 200, 20


async def leave_after_first_bytes(running: Running, gate: asyncio.Semaphore) -> bool:
    """Open a raw connection, read the first event of a long answer, and cut the line."""
    host, port = running.root.removeprefix("http://").split(":")
    body = json.dumps(
        {
            "model": "smollm2",
            "messages": [{"role": "user", "content": "Tell a story."}],
            "max_tokens": 1000,
            "stream": True,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {running.api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    async with gate:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + body)
        seen = b""
        while b"data: {" not in seen and (piece := await asyncio.wait_for(reader.read(4096), 60)):
            seen += piece
        writer.transport.abort()
        return seen.startswith(b"HTTP/1.1 200")


async def test_200_clients_that_leave_mid_stream_leave_no_busy_slot(shared_machine: Machine, running: Running) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    started = await asyncio.gather(*(leave_after_first_bytes(running, gate) for _ in range(CLIENTS)))
    assert all(started)

    def idle() -> bool:
        slots = engine_slots(shared_machine)
        return bool(slots) and not any(slot["is_processing"] for slot in slots)

    eventually(idle, 10, "every slot of the engine is idle")


def engine_slots(machine: Machine) -> list[dict[str, object]]:
    """The engine's own word, asked with its own secret."""
    (lease_file,) = (machine.state_dir / "leases").glob("*.json")
    lease = json.loads(lease_file.read_text())
    secret = Path(lease["secret_file"]).read_text().strip()
    response = httpx2.get(f"http://127.0.0.1:{lease['port']}/slots", headers={"authorization": f"Bearer {secret}"})
    slots: list[dict[str, object]] = response.json()
    return slots

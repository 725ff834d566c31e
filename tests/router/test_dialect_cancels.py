"""Clients that leave at any moment, in every dialect: every slot, place and account is free again."""

import asyncio
import json
import os
import random
import socket
import struct
from pathlib import Path

import pytest

from nodes.relay.contract import Address
from nodes.snapshot import EngineKind
from support.engines import KINDS, running_fault_engine
from support.gateway import KEY, running_gateway, served_by
from support.nodes import until
from support.spoken import CASES, DIALECTS, QUESTION

CANCELS = int(os.environ.get("POTLUCK_CANCELS", "300"))  # over all kinds; 10,000 take about four minutes
AT_ONCE = 24
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: leave without a goodbye


@pytest.mark.parametrize("kind", KINDS)
async def test_whoever_leaves_leaves_nothing_behind(kind: EngineKind, tmp_path: Path) -> None:
    chance = random.Random(7)
    with running_fault_engine(tmp_path / "engine", kind, "--tokens-per-s", "200", "--first-token-s", "0.01") as engine:
        async with running_gateway(tmp_path, [served_by(engine, slots=8)]) as running:
            left = CANCELS // len(KINDS)
            ends: dict[str, int] = {}

            async def leave_again_and_again() -> None:
                nonlocal left
                while left > 0:
                    left -= 1
                    end = await _leave(running.address, chance)
                    ends[end] = ends.get(end, 0) + 1

            await asyncio.gather(*(leave_again_and_again() for _ in range(AT_ONCE)))
            await running.until_idle(30)
            context = running.gateway.dispatcher.context
            assert (running.in_flight, running.waiting, context.ledger.promised) == (0, 0, {})
            assert set(context.ledger.in_flight.values()) <= {0}
            await until(lambda: engine.state()["active"] == 0, "the engine works for nobody", 30)
            outcomes = {record.outcome for record in running.finished()}
            print(f"\nRESULT cancels kind={kind} asked={sum(ends.values())} {ends} {sorted(outcomes)}")
            assert outcomes <= {"ok", "cancelled", "rate_limited"}
            assert "cancelled" in outcomes


async def _leave(address: Address, chance: random.Random) -> str:
    """One request that is left in its head, in its body, before its answer, in it, or not at all."""
    dialect = DIALECTS[chance.choice(list(DIALECTS))]
    case = chance.choice([case for case in dialect.cases if case in CASES[:2]])
    body = json.dumps(dialect.body("toy", case, QUESTION, chance.choice((1, 8, 40)), chance.random() < 0.6)).encode()
    head = f"POST {dialect.path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    reader, writer = await asyncio.open_connection(address.host, address.port)
    where = chance.random()
    try:
        if where < 0.15:
            writer.write(request[: chance.randrange(len(request))])
            return "in the request"
        writer.write(request)
        if where < 0.4:
            await asyncio.sleep(chance.random() * 0.03)
            return "before the answer"
        await reader.read(chance.choice((1, 50, 500, 2000)))
        if where < 0.9:
            await asyncio.sleep(chance.random() * 0.05)
            return "in the answer"
        await asyncio.sleep(0.3)
        return "after it"
    finally:
        if chance.random() < 0.5:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.close()

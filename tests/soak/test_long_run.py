"""Hours in small: clients that ask, stream and leave, and an engine that is killed now and then. `make soak`."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from time import monotonic

import openai
import psutil
import pytest

from support.machine import Machine, Running, busy_slots, eventually

pytestmark = pytest.mark.soak

SOAK_S = float(os.environ.get("POTLUCK_SOAK_S", "600"))
CLIENTS = 6
KILL_EVERY_S = 45.0
RSS_GROWTH_LIMIT_BYTES = 40 << 20


async def ask_until(end_s: float, client: openai.AsyncOpenAI, chance: random.Random, seen: Counter[str]) -> None:
    """One client's day. What it meets is an answer, or an error with a type of the client library's own."""
    while monotonic() < end_s:
        length = chance.choice((4, 16, 64))
        leaves_after = chance.choice((None, None, 1, 5))
        try:
            stream = await client.chat.completions.create(
                model="smollm2",
                messages=[{"role": "user", "content": f"Count to {length}."}],
                max_tokens=length,
                stream=True,
            )
            async with stream:
                number = 0
                async for _ in stream:
                    number += 1
                    if leaves_after is not None and number >= leaves_after:
                        break
            seen["left" if leaves_after else "ok"] += 1
        except openai.APIStatusError as error:
            seen[f"status_{error.status_code}"] += 1
            await asyncio.sleep(1)
        except openai.APIError as error:  # in mid-stream
            seen[f"stream_{error.code}"] += 1


async def kill_engines_until(end_s: float, machine: Machine) -> int:
    kills = 0
    while monotonic() + KILL_EVERY_S < end_s:
        await asyncio.sleep(KILL_EVERY_S)
        psutil.Process(machine.engine_pid()).kill()
        kills += 1
    return kills


def gateway_rss(machine: Machine) -> int:
    (gateway,) = (process for process in machine.services() if "gateway" in process.cmdline())
    return int(gateway.memory_info().rss)


async def drive(machine: Machine, running: Running, seconds: float, kill: bool) -> tuple[Counter[str], int]:
    seen: Counter[str] = Counter()
    end_s = monotonic() + seconds
    async with (
        openai.AsyncOpenAI(base_url=running.endpoint, api_key=running.api_key, max_retries=0) as client,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(CLIENTS):
            tasks.create_task(ask_until(end_s, client, random.Random(number), seen))
        kills = await kill_engines_until(end_s, machine) if kill else 0
    return seen, kills


async def test_a_long_mixed_run_loses_nothing_and_grows_nowhere(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "state")
    running = await asyncio.to_thread(machine.up)
    try:
        await drive(machine, running, min(20.0, SOAK_S / 5), kill=False)  # caches, pools and code are warm
        before = gateway_rss(machine)
        seen, kills = await drive(machine, running, SOAK_S, kill=True)
        growth = gateway_rss(machine) - before
        print(f"\nRESULT soak seconds={SOAK_S:.0f} kills={kills} rss_growth_mb={growth / 2**20:.1f} ", end="")
        print(" ".join(f"{outcome}={count}" for outcome, count in sorted(seen.items())))

        eventually(lambda: machine.lease_pids() and not busy_slots(machine), 60, "an idle engine")
        assert seen["ok"] > 0
        assert growth < RSS_GROWTH_LIMIT_BYTES
        assert {name for name in seen if name.startswith("status_")} <= {"status_502", "status_503"}
    finally:
        machine.down()
    assert machine.processes() == []

"""Engines that are started and killed, a hundred times, at every moment of their lives."""

import asyncio
import os
import random
import signal
from pathlib import Path

import psutil
import pytest

from nodes.leases import reap
from nodes.orders import Authority
from nodes.snapshot import EngineId
from nodes.supervisor import Supervisor, supervising
from support.nodes import QUICK, spec, until, workshop

pytestmark = pytest.mark.e2e
AT_ONCE, ROUNDS = 10, 10


def processes_in(directory: Path) -> list[psutil.Process]:
    """Engines and their helpers work in the state directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(directory):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


async def one_life(supervisor: Supervisor, number: int, authority: Authority, dice: random.Random) -> None:
    """Started, then ended: by SIGKILL to the process that the lease names, or by order, soon or late."""
    engine_id = EngineId(f"engine-{number}")
    supervisor.ensure(spec(engine_id, helpers="2"), authority)

    def pid() -> int | None:
        return next((engine.pid for engine in supervisor.snapshots() if engine.engine_id == engine_id), None)

    running = await until(pid, f"{engine_id} has a process")
    await asyncio.sleep(dice.choice((0.0, 0.1, 0.3, 0.8)))
    if dice.random() < 0.7:
        try:
            os.kill(running, signal.SIGKILL)
        except ProcessLookupError:
            return
    supervisor.stop(engine_id, authority)
    await until(lambda: pid() is None, f"{engine_id} is gone")


async def test_a_hundred_starts_and_kills_leave_no_process(tmp_path: Path) -> None:
    dice = random.Random(7)
    try:
        async with supervising(workshop(tmp_path), QUICK, lambda: None) as supervisor:
            for turn in range(ROUNDS):
                authority = Authority(epoch=3, config_revision=turn)
                async with asyncio.TaskGroup() as lives:
                    for number in range(AT_ONCE):
                        lives.create_task(one_life(supervisor, number, authority, dice))
        await until(lambda: not processes_in(tmp_path), "every process of every engine is gone")
    finally:
        reap(tmp_path / "leases", grace_s=0.2)

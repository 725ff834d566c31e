"""Ten thousand steps of a cluster that never stands still: nothing of a class ever gets out of its zones."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from random import SystemRandom

from support.wire_engines import EngineLoop
from support.zone_world import World

STEPS = 10_000
SEEN = ("sent", "bound", "refused", "failovers", "died", "cached", "warmed", "lines", "in_house", "documents")
SEED = "POTLUCK_PRIVACY_SEED"  # of a run that is to be seen again


async def steps(world: World) -> None:
    noted: set[tuple[str, str]] = set()
    for number in range(STEPS):
        one_step(world)
        await asyncio.sleep(0)
        if number % 50 == 49:
            world.tidy()
            noted.update(world.noted())
            if number % 500 > 400:  # for a while nobody asks, so that machines are idle
                await quiet(world)
        if number % 300 == 299:
            world.heal()
    noted.update(world.noted())
    # What is noted may not get there: nobody listened, or its client left. What a connection loses is sent again there.
    assert not set(world.got) - noted, "a machine got something that the audit is not told of"


def one_step(world: World) -> None:
    rest: Callable[[], None] = partial(world.pass_time, world.random.choice((0.3, 1.0, 7.0)))
    shares: tuple[tuple[float, Callable[[], None]], ...] = (
        (0.36, world.ask), (0.06, partial(world.ask, "embeddings")), (0.03, world.ask_in_house),
        (0.03, world.run_line), (0.40, world.settle_one), (0.02, world.leave_one), (0.03, world.change), (0.07, rest),
    )  # fmt: skip
    (do,) = world.random.choices([do for _, do in shares], [share for share, _ in shares])
    do()


async def quiet(world: World) -> None:
    for _ in range(6):
        while world.engines.pending:
            world.answer(world.engines.pending[0])
            await asyncio.sleep(0)
        world.pass_time(7.0)
        await asyncio.sleep(0)


def test_nothing_of_a_class_is_ever_sent_to_or_kept_on_a_machine_outside_its_zones(tmp_path: Path) -> None:
    seed = int(os.environ.get(SEED) or SystemRandom().randrange(1 << 32))
    print(f"{SEED}={seed}")

    async def live() -> World:
        world = World(tmp_path, seed)
        try:
            await steps(world)
        finally:
            await world.close()
        return world

    with asyncio.Runner(loop_factory=EngineLoop) as runner:
        world = runner.run(live())
    with closing(sqlite3.connect(tmp_path / "cache.db")) as connection:
        for body, classes in connection.execute("SELECT body, classes FROM kept WHERE kind = 'answers'"):
            origin = body.partition(b"answer of ")[2].partition(b'"')[0].decode()
            if origin.split("+") != classes.split(","):
                world.leaks.append(f"an answer of {origin} is kept as {classes}")
    told = " ".join(f"{name}={world.counts[name]}" for name in SEEN)
    print(f"RESULT privacy steps={STEPS} {told} leaks={len(world.leaks)}")

    assert world.leaks == []
    assert min(world.counts[name] for name in SEEN) > 0, "the run has not seen all that it is for"

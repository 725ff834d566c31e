"""Run as a process of its own: erases somebody, and is killed where its caller says; or goes on with what was begun."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from cluster.erased_logs import LogErasure
from cluster.erasure import Erasable, Gone, Holding, Person, Piece, Sought
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from rag.library.erasing import DocumentErasure
from router.erasing.eraser import Eraser
from router.erasing.records import RecordErasure
from router.log import StructuredLog
from support.libraries import WordEncoders, opened
from support.nodes import until

IDENTIFIER = "zanzibar-canary"
NEVER = -1


class Killing:
    """Whoever comes to it is gone."""

    place = "killing"

    async def holds(self, sought: Sought) -> tuple[Holding, ...]:
        return ()

    async def export(self, sought: Sought) -> tuple[Piece, ...]:
        return ()

    async def erase(self, sought: Sought) -> Gone:
        os.kill(os.getpid(), signal.SIGKILL)
        return Gone()


async def erase(root: Path, killed_at: int | None) -> None:
    paths, clock = StatePaths.at(root), SystemClock()
    async with opened(root, WordEncoders()) as library:
        parts: list[Erasable] = [DocumentErasure(library.shelves), RecordErasure(paths.telemetry_db)]
        parts += [LogErasure((paths.logs,))]
        if killed_at is not None:
            if killed_at != NEVER:
                parts.insert(killed_at, Killing())
            await Eraser(paths, clock, StructuredLog(), parts).erase(Person("", (IDENTIFIER,), (), naming=True))
            return
        eraser = Eraser(paths, clock, StructuredLog(), parts)
        await eraser.look_for_backups()
        going = asyncio.create_task(eraser.run())
        await until(lambda: all(one.state == "done" for one in eraser.list.entries()), "it is done")
        going.cancel()


if __name__ == "__main__":
    asyncio.run(erase(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))

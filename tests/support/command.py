"""The `potluck` command as a process, beside services in this loop."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

POTLUCK = Path(sys.executable).parent / "potluck"


@dataclass
class Done:
    status: int
    out: str
    err: str


@dataclass
class Place:
    """A state directory to run commands in."""

    root: Path

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "POTLUCK_STATE_DIR": str(self.root)}
        return await asyncio.create_subprocess_exec(POTLUCK, *arguments, stdout=pipe, stderr=pipe, env=environment)

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
        """Its stdout; it is ended with the block."""
        process = await self.start(*arguments)
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.terminate()
            await process.communicate()

    async def potluck(self, *arguments: str) -> Done:
        process = await self.start(*arguments)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

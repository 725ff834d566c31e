"""Bytes that may be in memory at the same time: who needs more waits, and is next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Memory:
    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._free_bytes = most_bytes
        self._turn = asyncio.Lock()
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, size_bytes: int) -> AsyncIterator[None]:
        """What is larger than all there is gets all there is. Those who wait are served in their order."""
        size_bytes = min(size_bytes, self._most_bytes)
        async with self._turn, self._freed:
            await self._freed.wait_for(lambda: self._free_bytes >= size_bytes)
            self._free_bytes -= size_bytes
        try:
            yield
        finally:
            self._free_bytes += size_bytes
            async with self._freed:
                self._freed.notify_all()

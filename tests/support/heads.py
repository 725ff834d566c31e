"""A real head in this process, with machines made for the test."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from cluster.admin_client import AdminClient
from cluster.service import HeadSettings, run_head
from inventory.clock import SystemClock
from support.fake_node import FakeNode
from support.nodes import until


@asynccontextmanager
async def running_head(
    settings: HeadSettings, machines: Sequence[FakeNode] = (), within_s: float = 180
) -> AsyncIterator[AdminClient]:
    """From the moment it listens; ended afterwards, also where the test fails. It all takes `within_s` at the most."""
    stop, socket = asyncio.Event(), settings.paths.head_socket
    async with asyncio.timeout(within_s), asyncio.TaskGroup() as tasks:
        tasks.create_task(run_head(settings, machines, SystemClock(), stop))
        try:
            await until(lambda: socket.exists() or None, "the head listens", within_s)
            yield AdminClient(socket)
        finally:
            stop.set()

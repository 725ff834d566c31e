"""A real node daemon without engines, in this process, on its real Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.probe_host import HostProbe
from inventory.store import ModelStore
from nodes.service import NodeSettings, run_node
from nodes.snapshot import NodeId
from support.nodes import until


@asynccontextmanager
async def a_node_daemon(state_dir: Path, name: str) -> AsyncIterator[StatePaths]:
    paths, clock = StatePaths.at(state_dir).ensure(), SystemClock()
    store = ModelStore(paths.models, clock)
    settings = NodeSettings(paths, NodeId(name), [HostProbe(paths.models)], store, (), clock)
    stop = asyncio.Event()
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        tasks.create_task(run_node(settings, stop))
        await until(paths.node_socket.exists, "the daemon serves")
        try:
            yield paths
        finally:
            stop.set()

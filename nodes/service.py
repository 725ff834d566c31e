"""The node daemon as a process: one per state directory, its API on a private Unix socket, from start to stop."""

import asyncio
import os

import structlog

from nodes.api import node_app
from nodes.daemon import NodeDaemon, NodeSettings
from nodes.role_lock import RoleLock
from nodes.unix_server import serve_unix

__all__ = ["NodeSettings", "run_node"]

log = structlog.get_logger("potluck.node")


async def run_node(settings: NodeSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`, and leave the engines running, unless the API was asked to stop them.

    Raises AlreadyRunningError when another daemon holds this state directory.
    """
    paths = settings.paths.ensure()
    os.chdir(paths.root)  # a folder called `nodes` where the operator stood must never be imported
    lock = RoleLock(paths.run, "node")
    lock.acquire()
    try:
        daemon, ready = NodeDaemon(settings), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(daemon.run(ready, stop))
            await ready.wait()
            log.info("node_serves", node=settings.node_id, socket=str(paths.node_socket))
            await serve_unix(node_app(daemon, stop.set), paths.node_socket, stop)
    finally:
        lock.release()

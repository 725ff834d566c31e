"""The node daemon as a process: one per state directory, from start to stop.

Its API is on a private Unix socket; on a machine that has joined a cluster, on the TLS port too.
"""

import asyncio
import os

import structlog
from starlette.types import ASGIApp

from inventory.incoming import sweep_downloads
from nodes.api import node_app
from nodes.daemon import NodeDaemon, NodeSettings
from nodes.deny_list import DenyList
from nodes.identity import IdentityFiles
from nodes.membership import Membership, read_membership
from nodes.role_lock import RoleLock
from nodes.sealing.watch import SealedWatch
from nodes.tls_contexts import server_context
from nodes.tls_port import open_door, serve_node
from nodes.unix_server import serve_unix
from nodes.upkeep import Upkeep, UpkeepTimes

__all__ = ["NodeSettings", "run_node"]

KEEP_DOWNLOADS_S = 14 * 86400.0  # the rest of a copy that was cut off: the next one goes on from there

log = structlog.get_logger("potluck.node")


async def run_node(settings: NodeSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`, and leave the engines running, unless the API was asked to stop them.

    Raises AlreadyRunningError when another daemon holds this state directory, ExposedSecretError for a key that
    others can read.
    """
    paths = settings.paths.ensure()
    os.chdir(paths.root)  # a folder called `nodes` where the operator stood must never be imported
    lock = RoleLock(paths.run, "node")
    lock.acquire()
    try:
        freed = sweep_downloads(settings.store.downloads, settings.clock.wall_s() - KEEP_DOWNLOADS_S)
        if freed:
            log.info("partial_downloads_dropped", freed_bytes=freed)
        membership = None if settings.loopback_only else read_membership(paths.identity)
        daemon, ready = NodeDaemon(settings), asyncio.Event()
        deny_list = DenyList(paths.identity)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(daemon.run(ready, stop))
            await ready.wait()
            app = node_app(daemon, deny_list, stop.set)
            watching = tasks.create_task(SealedWatch(paths).run())
            if membership is not None:
                tasks.create_task(_serve_member(membership, daemon, app, deny_list, stop))
                tasks.create_task(daemon.ray.run(stop))
            log.info("node_serves", node=settings.node_id, socket=str(paths.node_socket))
            await serve_unix(app, paths.node_socket, stop)
            watching.cancel()
    finally:
        lock.release()


async def _serve_member(
    membership: Membership, daemon: NodeDaemon, app: ASGIApp, deny_list: DenyList, stop: asyncio.Event
) -> None:
    settings = daemon.settings
    files = IdentityFiles.at(settings.paths.identity, "node")
    context = server_context(files, "must_prove")
    door = await open_door(membership.listen_host, membership.listen_port, context, stop)
    if door is None:
        return
    log.info("node_listens", host=membership.listen_host, port=membership.listen_port, cluster=membership.cluster)
    upkeep = asyncio.create_task(Upkeep(files, membership, context, settings.clock, UpkeepTimes()).run())
    try:
        await serve_node(app, lambda: daemon.snapshot().engines, door, deny_list, stop)
    finally:
        upkeep.cancel()

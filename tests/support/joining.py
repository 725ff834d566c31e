"""A head with its join listener and machines that join it, each with a state directory of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TypeVar

from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.controller import ControllerTimes
from cluster.join_client import Wish, fetch_authority, join
from cluster.join_token import JoinToken, parse_token
from cluster.service import HeadSettings, run_head
from cluster.snapshot import NodeView
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.probe_host import HostProbe
from inventory.store import ModelStore
from nodes.client import NodeClient
from nodes.daemon import NodeSettings
from nodes.head_client import HeadPlace
from nodes.join_wire import Joined
from nodes.membership import read_membership
from nodes.service import run_node
from support.manual_clock import ManualClock
from support.nodes import until

Found = TypeVar("Found")
CONFIG = "version: 1\ncluster: {name: home, listen: 127.0.0.1}\njoin: {port: 0}\nmodels: {}\n"


@dataclass
class Head:
    paths: StatePaths
    admin: AdminClient
    clock: ManualClock

    async def listens(self) -> bool:
        return not (await self.admin.create_token("nobody", 60)).command.split()[2].endswith(":0")

    async def views(self) -> tuple[NodeView, ...]:
        """None yet while the head has not looked."""
        try:
            return (await self.admin.snapshot()).nodes
        except AdminRefusedError:
            return ()

    async def token(self, node: str = "mac", ttl_s: int = 900) -> tuple[HeadPlace, JoinToken]:
        """What the pasted line says."""
        made = await self.admin.create_token(node, ttl_s)
        words = made.command.split()
        assert words[:2] == ["potluck", "join"] and words[3] == "--token"
        host, _, port = words[2].partition(":")
        return HeadPlace(host, int(port)), parse_token(words[4])


async def eventually(look: Callable[[], Awaitable[Found | None]], what: str, deadline_s: float = 20.0) -> Found:
    """Like support.nodes.until, for a look that takes an await."""
    end = monotonic() + deadline_s
    while not (found := await look()):
        assert monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(0.02)
    return found


@asynccontextmanager
async def running_head(root: Path, ago_s: float = 0.0) -> AsyncIterator[Head]:
    """Its clock shows what it was `ago_s` before, so that certificates have an age and hold in real time."""
    paths, stop = StatePaths.at(root).ensure(), asyncio.Event()
    clock = ManualClock(SystemClock().wall_s() - ago_s)
    paths.config_file.write_text(CONFIG)
    times = ControllerTimes(tick_s=0.05)
    async with asyncio.timeout(60):
        serving = asyncio.create_task(run_head(HeadSettings(paths, None, times), (), clock, stop))
        try:
            await until(lambda: serving.done() or paths.head_socket.exists(), "the head listens")
            head = Head(paths, AdminClient(paths.head_socket), clock)
            await eventually(head.listens, "the join listener has its port")
            yield head
        finally:
            stop.set()
            await serving


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def joiner(tmp_path: Path, name: str = "joiner") -> StatePaths:
    return StatePaths.at(tmp_path / name).ensure()


async def joined(paths: StatePaths, place: HeadPlace, token: JoinToken, node: str = "", port: int = 8402) -> Joined:
    ca_pem = await fetch_authority(place, token)
    return await join(paths, place, token, ca_pem, Wish(node, "", "127.0.0.1", port))


async def view_of(head: Head, name: str, state: str) -> NodeView:
    """The node's view once it is in this state."""

    async def look() -> NodeView | None:
        return next((view for view in await head.views() if (view.node_id, view.state) == (name, state)), None)

    return await eventually(look, f"{name} is {state}")


@asynccontextmanager
async def running_node(paths: StatePaths) -> AsyncIterator[NodeClient]:
    membership = read_membership(paths.identity)
    assert membership is not None
    clock, stop = SystemClock(), asyncio.Event()
    store = ModelStore(paths.models, clock)
    settings = NodeSettings(paths, membership.node_id, [HostProbe(paths.models)], store, (), clock)
    serving = asyncio.create_task(run_node(settings, stop))
    try:
        await until(lambda: serving.done() or paths.node_socket.exists(), "the node serves")
        yield NodeClient(paths.node_socket)
    finally:
        stop.set()
        await serving

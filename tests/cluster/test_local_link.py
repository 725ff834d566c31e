"""LocalLink against the real node API of a real node daemon, on a real Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cluster.link import LinkError, OrderRefusedError
from cluster.local_link import LocalLink
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.probe_host import HostProbe
from inventory.store import ModelStore
from nodes.api import node_app
from nodes.daemon import NodeDaemon, NodeSettings
from nodes.deny_list import DenyList
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, NodeId
from nodes.unix_server import serve_unix
from support.cluster_facts import model_ref

SPEC = EngineSpec(EngineId("m.box.1"), "llamacpp", model_ref("m"), 2048, 4)


@asynccontextmanager
async def node_daemon(paths: StatePaths) -> AsyncIterator[LocalLink]:
    clock = SystemClock()
    store = ModelStore(paths.models, clock)
    daemon = NodeDaemon(NodeSettings(paths, NodeId("box"), [HostProbe(paths.models)], store, (), clock))
    ready, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run(ready, stop))
        await ready.wait()
        tasks.create_task(serve_unix(node_app(daemon, DenyList(paths.identity), stop.set), paths.node_socket, stop))
        link = LocalLink(NodeId("box"), paths.node_socket)
        try:
            await _answering(link)
            yield link
        finally:
            stop.set()


async def _answering(link: LocalLink) -> None:
    while True:
        try:
            await link.observe()
        except LinkError:
            await asyncio.sleep(0.01)
        else:
            return


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.at(tmp_path / "state").ensure()


async def test_a_link_reports_what_the_daemon_sees(paths: StatePaths) -> None:
    async with node_daemon(paths) as link:
        snapshot = await link.observe()

    assert (snapshot.node_id, snapshot.engines, snapshot.models) == ("box", (), ())
    assert snapshot.hardware.pools != ()
    assert (link.node_id, link.kind) == ("box", "local")


async def test_an_order_the_node_cannot_carry_out_is_refused_with_its_reason(paths: StatePaths) -> None:
    async with node_daemon(paths) as link:
        with pytest.raises(OrderRefusedError, match=r"^node box: ") as caught:
            await link.ensure_engine(SPEC, Authority(1, 1))

    assert caught.value.node_id == "box"


async def test_stopping_what_is_gone_is_done_already(paths: StatePaths) -> None:
    async with node_daemon(paths) as link:
        await link.drain_engine(SPEC.engine_id, Authority(1, 1))
        await link.stop_engine(SPEC.engine_id, Authority(1, 1))


async def test_an_order_of_a_replaced_controller_is_refused(paths: StatePaths) -> None:
    async with node_daemon(paths) as link:
        await link.stop_engine(SPEC.engine_id, Authority(9, 1))
        with pytest.raises(OrderRefusedError, match="epoch 9 has taken over"):
            await link.stop_engine(SPEC.engine_id, Authority(8, 1))


async def test_a_daemon_that_is_not_there_is_a_link_error(paths: StatePaths) -> None:
    with pytest.raises(LinkError, match="no node daemon answers") as caught:
        await LocalLink(NodeId("box"), paths.node_socket).observe()

    assert not isinstance(caught.value, OrderRefusedError)

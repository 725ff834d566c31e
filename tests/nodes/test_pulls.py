"""Orders to hold an artifact: given through a running daemon's API, and repeated, refused, failed and ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from inventory.catalog import ArtifactId, StoredModel
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.probe_host import HostProbe
from nodes.api import node_app
from nodes.client import NodeClient, NodeRefusedError
from nodes.daemon import NodeDaemon, NodeSettings
from nodes.deny_list import DenyList
from nodes.orders import ArtifactHolder, Authority, PullOrder
from nodes.pulls import ModelPulls
from nodes.snapshot import NodeId, NodeSnapshot, PullSnapshot
from nodes.unix_server import serve_unix
from support.artifacts import cut_after, hold_a_model, holding, store_at
from support.manual_clock import ManualClock
from support.nodes import QUICK, until
from support.tls import TestAuthority

CHIEF = Authority(epoch=2, config_revision=1)


def order_of(model: StoredModel, *holders: ArtifactHolder) -> PullOrder:
    return PullOrder(model.name, model.artifact.artifact_id, model.artifact.format, holders)


@pytest.fixture
def ca(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path)


@pytest.fixture
async def client(tmp_path: Path, ca: TestAuthority) -> AsyncIterator[NodeClient]:
    """Of the daemon of a machine that has joined, and holds nothing."""
    paths = StatePaths.at(tmp_path / "here").ensure()
    ca.identity("node", "here", paths.identity)
    settings = NodeSettings(
        paths, NodeId("here"), [HostProbe(paths.models)], store_at(paths.models), (), SystemClock(), "home", QUICK, 0.05
    )
    daemon, ready, stop = NodeDaemon(settings), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(daemon.run(ready, stop))
        await ready.wait()
        app = node_app(daemon, DenyList(paths.identity), stop.set)
        tasks.create_task(serve_unix(app, paths.node_socket, stop))
        await until(paths.node_socket.exists, "the node API listens")
        yield NodeClient(paths.node_socket)
        stop.set()


async def observed(client: NodeClient, look: Callable[[NodeSnapshot], object]) -> NodeSnapshot:
    async with asyncio.timeout(20):
        while not look(snapshot := await client.observe()):  # noqa: ASYNC110 - another task's doing, seen from outside
            await asyncio.sleep(0.02)
        return snapshot


async def test_an_ordered_artifact_arrives_and_the_order_may_be_repeated(
    client: NodeClient, ca: TestAuthority, tmp_path: Path
) -> None:
    store, model = hold_a_model(tmp_path / "mac")
    async with holding(ca, "mac", store) as mac:
        for _ in range(3):
            await client.pull(order_of(model, mac), CHIEF)
        snapshot = await observed(client, lambda node: node.models and not node.pulls)
    await client.pull(order_of(model), CHIEF)

    assert [held.ref for held in snapshot.models] == [store.held()[0].ref]
    assert (await observed(client, lambda node: not node.pulls)).models == snapshot.models


async def test_a_copy_that_failed_says_why_and_other_holders_are_asked_at_once(
    client: NodeClient, ca: TestAuthority, tmp_path: Path
) -> None:
    store, model = hold_a_model(tmp_path / "mac")
    await client.pull(order_of(model), CHIEF)
    failed = await observed(client, lambda node: node.pulls and node.pulls[0].state == "failed")
    async with holding(ca, "mac", store) as mac:
        await client.pull(order_of(model, mac), CHIEF)
        await observed(client, lambda node: node.models)

    assert "no node was named" in failed.pulls[0].reason


async def test_a_replaced_controller_and_a_path_for_an_id_are_refused(client: NodeClient, tmp_path: Path) -> None:
    _, model = hold_a_model(tmp_path / "mac")
    await client.pull(order_of(model), CHIEF)
    with pytest.raises(NodeRefusedError) as stale:
        await client.pull(order_of(model), Authority(epoch=1, config_revision=9))
    with pytest.raises(NodeRefusedError) as path:
        await client.pull(PullOrder(model.name, ArtifactId("../../x"), "gguf", ()), CHIEF)

    assert (stale.value.code, path.value.code) == ("stale_order", "bad_request")


class Node:
    """Pulls without a daemon around them."""

    def __init__(self, root: Path, ca: TestAuthority) -> None:
        self.clock = ManualClock()
        self.store = store_at(root / "models")
        ca.identity("node", "here", root / "identity")
        self.pulls = ModelPulls(self.store, root / "identity", self.clock, lambda: None)

    def shown(self) -> PullSnapshot | None:
        return next(iter(self.pulls.snapshots()), None)

    async def state(self, state: str) -> PullSnapshot:
        def look() -> PullSnapshot | None:
            shown = self.shown()
            return shown if shown is not None and shown.state == state else None

        return await until(look, state)


async def test_a_failed_copy_waits_before_the_same_order_counts_again(tmp_path: Path, ca: TestAuthority) -> None:
    node = Node(tmp_path / "here", ca)
    store, model = hold_a_model(tmp_path / "mac")
    async with holding(ca, "mac", store) as mac, cut_after(mac, []) as gone, node.pulls:
        order = order_of(model, gone)
        node.pulls.order(order)
        await node.state("failed")
        node.pulls.order(order)
        again_at_once = node.shown()
        node.clock.advance(2.1)
        node.pulls.order(order)
        again_later = node.shown()
        await node.state("failed")
        node.clock.advance(601)
        unasked = node.shown()

    assert again_at_once is not None and again_at_once.state == "failed"
    assert again_later is not None and again_later.state == "waiting"
    assert unasked is None


async def test_the_end_of_the_daemon_ends_a_copy_and_keeps_what_arrived(tmp_path: Path, ca: TestAuthority) -> None:
    first, second = Node(tmp_path / "here", ca), Node(tmp_path / "here", ca)
    store, model = hold_a_model(tmp_path / "mac")
    async with holding(ca, "mac", store) as mac, cut_after(mac, [5_000_000]) as shaky:
        async with first.pulls:
            first.pulls.order(order_of(model, shaky))
            await until(lambda: (one := first.shown()) is not None and one.done_bytes > 1_000_000, "it moves")
        kept = sum(path.stat().st_size for path in (tmp_path / "here").rglob("*.partial"))
        async with second.pulls:
            second.pulls.order(order_of(model, mac))
            await until(second.store.list, "it is held")

    assert kept > 1_000_000
    assert second.store.list()[0].artifact == model.artifact

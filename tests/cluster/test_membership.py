"""What the operator wants of machines, from the admin API to the orders that nodes get."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.admin_client import AdminClient, AdminRefusedError
from cluster.controller import ControllerTimes
from cluster.doubts import EngineDoubt
from cluster.node_watch import WatchTimes
from cluster.service import HeadSettings
from cluster.snapshot import ClusterSnapshot, NodeView
from inventory.paths import StatePaths
from nodes.snapshot import EngineId
from support.cluster_facts import held, node
from support.fake_node import FakeNode
from support.heads import running_head

TIMES = ControllerTimes(tick_s=0.02, watch=WatchTimes(every_s=0.01), settle_s=0.5)
TEXT = "version: 1\nmodels: {smol: {source: packaged:smollm2, engine: llamacpp, context: 2048}}\n"


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    paths = StatePaths.at(tmp_path / "state").ensure()
    paths.config_file.write_text(TEXT)
    return paths


def head(paths: StatePaths, *machines: FakeNode) -> AbstractAsyncContextManager[AdminClient]:
    return running_head(HeadSettings(paths, times=TIMES), machines)


def machine(name: str) -> FakeNode:
    return FakeNode(node(name, [held("smol")]))


async def seen(client: AdminClient, name: str, state: str) -> NodeView:
    """The node's view, once it is in this state."""
    async for publication in client.watch():
        for view in publication.cluster.nodes if publication.cluster else ():
            if (view.node_id, view.state) == (name, state):
                return view
    raise AssertionError("the head went")


async def model_on(client: AdminClient, fleet: tuple[FakeNode, ...], name: str) -> ClusterSnapshot:
    """The snapshot in which the model serves on this machine, and on no other. Engines that start become ready."""
    async for publication in client.watch():
        for one in fleet:
            starting = [engine for engine in one.snapshot.engines if engine.state == "starting"]
            ended = [engine for engine in one.snapshot.engines if engine.state == "draining"]
            if starting:
                one.become_ready()
            elif ended:
                stopped = [replace(engine, state="stopped") for engine in ended]
                one.snapshot = replace(one.snapshot, engines=tuple(stopped))
        snapshot = publication.cluster
        if snapshot is not None and [view.node_id for view in snapshot.nodes if _serves(view)] == [name]:
            return snapshot
    raise AssertionError("the head went")


def _serves(view: NodeView) -> bool:
    return any(engine.state == "ready" for engine in (view.snapshot.engines if view.snapshot else ()))


async def test_a_cordoned_machine_keeps_what_runs_and_the_wish_survives_the_head(paths: StatePaths) -> None:
    box = machine("box")
    async with head(paths, box) as client:
        await model_on(client, (box,), "box")
        await client.set_duty("box", "cordon")
        view = await seen(client, "box", "cordoned")
    async with head(paths, box) as client:
        later = await seen(client, "box", "cordoned")
        await client.set_duty("box", "uncordon")
        ready = await seen(client, "box", "ready")

    assert (view.duty, view.reason) == ("cordon", "cordoned by the operator; what runs goes on")
    assert (later.since_s >= view.since_s, ready.duty) == (True, "serve")
    assert [order for order in box.orders if order[0] != "ensure"] == []


async def test_a_model_whose_only_machine_is_cordoned_before_it_runs_says_so(paths: StatePaths) -> None:
    box = FakeNode(node("box"))
    async with head(paths, box) as client:
        await client.set_duty("box", "cordon")
        await seen(client, "box", "cordoned")
        box.snapshot = node("box", [held("smol")])
        async for publication in client.watch():
            if publication.cluster and publication.cluster.nodes[0].duty == "cordon":
                reason = publication.cluster.models[0].reason
                break

    assert reason == "the machine is cordoned; `potluck nodes uncordon box` ends that"
    assert box.orders == []


async def test_a_drained_machine_hands_its_model_over_before_its_engine_goes(paths: StatePaths) -> None:
    first, second = machine("a"), machine("b")
    async with head(paths, first, second) as client:
        await model_on(client, (first, second), "a")
        await client.set_duty("a", "drain")
        await seen(client, "a", "draining")
        await model_on(client, (first, second), "b")
        empty = await seen(client, "a", "cordoned")

    assert empty.reason == "drained by the operator, and empty"
    assert second.orders[0] == ("ensure", "smol.b.1")
    assert first.orders == [("ensure", "smol.a.1"), ("drain", "smol.a.1"), ("stop", "smol.a.1")]


async def test_an_engine_that_a_gateway_doubts_is_stopped_and_started_again(paths: StatePaths) -> None:
    box = machine("box")
    async with head(paths, box) as client:
        await model_on(client, (box,), "box")
        await client.doubt([EngineDoubt(EngineId("smol.box.1"), 1, "no token within 30 s")])
        while len(box.orders) < 3:  # noqa: ASYNC110 - the head's deadline is this one's
            await asyncio.sleep(0.01)

    assert box.orders == [("ensure", "smol.box.1"), ("stop", "smol.box.1"), ("ensure", "smol.box.1")]


async def test_labels_are_kept_and_shown(paths: StatePaths) -> None:
    box = machine("box")
    async with head(paths, box) as client:
        await client.set_labels("box", {"room": "attic", "tier": "1"})
        wish = await client.set_labels("box", {"tier": None})
    async with head(paths, box) as client:
        view = await seen(client, "box", "ready")

    assert wish.labels == view.labels == (("room", "attic"),)


async def test_logs_come_from_the_machine_and_what_is_unknown_is_a_typed_refusal(paths: StatePaths) -> None:
    box = machine("box")
    async with head(paths, box) as client:
        text = await client.node_log("box", EngineId("smol.box.1"), 7)
        box.unreachable = "connection refused"
        with pytest.raises(AdminRefusedError) as unreachable:
            await client.node_log("box", None, 7)
        with pytest.raises(AdminRefusedError) as unknown:
            await client.set_duty("bx", "drain")
        with pytest.raises(AdminRefusedError) as bad:
            await client.set_labels("box", {"Not A Key": "x"})

    assert text == "the last 7 lines of smol.box.1"
    assert (unreachable.value.status, unreachable.value.code) == (503, "node_unreachable")
    assert (unknown.value.status, unknown.value.code) == (404, "not_found")
    assert (bad.value.status, bad.value.code) == (400, "invalid_request")

"""Machines short of memory: no new requests while others can serve, and none at all when it gets worse."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.snapshot import ClusterSnapshot, NodeView
from nodes.relay.contract import Address
from nodes.snapshot import EngineSnapshot, NodeId, PressureLevel, PressureSnapshot
from router.decision import routing_table
from router.request import Parsed, SizeOnly
from router.scoring import decide
from support.gateway import MODEL, cluster_of, engine_at, node_with, running_gateway
from support.upstream import answer_kindly, scripted_upstream

ASK = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
CHAT = "/v1/chat/completions"
TOLD = "310.0 MiB available of 23.0 GiB"


def pressed(node: NodeView, level: PressureLevel) -> NodeView:
    assert node.snapshot is not None
    pressure = PressureSnapshot(level, "" if level == "calm" else TOLD, 0.0)
    return replace(node, snapshot=replace(node.snapshot, pressure=pressure))


def cluster(*machines: tuple[str, PressureLevel, EngineSnapshot], sequence: int = 1) -> ClusterSnapshot:
    nodes = tuple(
        replace(pressed(node_with([engine]), level), node_id=NodeId(name)) for name, level, engine in machines
    )
    return replace(cluster_of([], sequence=sequence), nodes=nodes)


def chosen(snapshot: ClusterSnapshot) -> tuple[list[str], dict[str, str]]:
    routes = routing_table(snapshot).names[MODEL]
    decision = decide(routes, Parsed(MODEL, False, False, 100, None, SizeOnly()), {}, {})
    return [score.engine_id for score in decision.ranked], dict(decision.rejected)


def engine(name: str) -> EngineSnapshot:
    return engine_at(Address("127.0.0.1", 1), name)


def test_a_tight_machine_serves_only_while_no_other_can() -> None:
    both = cluster(("a", "tight", engine("a-1")), ("b", "calm", engine("b-1")))

    assert chosen(both) == (["b-1"], {"a-1": f"node tight of memory: {TOLD}"})
    assert chosen(cluster(("a", "tight", engine("a-1")))) == (["a-1"], {})


@pytest.mark.parametrize("level", ["short", "critical"])
def test_a_short_machine_gets_nothing_new(level: PressureLevel) -> None:
    alone = cluster(("a", level, engine("a-1")))
    beside_another = cluster(("a", level, engine("a-1")), ("b", "calm", engine("b-1")))

    assert chosen(alone) == ([], {"a-1": f"short of memory: {TOLD}"})
    assert chosen(beside_another) == (["b-1"], {"a-1": f"short of memory: {TOLD}"})
    assert routing_table(alone).names[MODEL].held_up == f"short of memory: {TOLD}"
    assert routing_table(beside_another).names[MODEL].held_up == ""


async def test_requests_wait_for_a_short_machine_to_recover(tmp_path: Path) -> None:
    async with scripted_upstream(answer_kindly) as upstream, running_gateway(tmp_path, []) as running:
        here = engine_at(upstream.address)
        running.view.install_cluster(cluster(("here", "short", here), sequence=2))
        async with running.http() as client:
            asking = asyncio.create_task(client.post(CHAT, json=ASK))
            await running.until_waiting(1)
            assert upstream.asked == []
            running.view.install_cluster(cluster(("here", "calm", here), sequence=3))
            answer = await asking

    assert answer.status_code == 200


async def test_those_that_waited_long_enough_learn_why_and_when_to_come_back(tmp_path: Path) -> None:
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(tmp_path, [], wait_s=0.1) as running,
        running.http() as client,
    ):
        running.view.install_cluster(cluster(("here", "critical", engine_at(upstream.address)), sequence=2))
        answer = await client.post(CHAT, json=ASK)

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert TOLD in answer.json()["error"]["message"]

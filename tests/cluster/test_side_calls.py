"""A thousand titles, tags and the like, as front ends send them, at the real gateway under the real residency planner:
they load nothing, evict nothing and keep nothing awake.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from cluster.admin_client import AdminClient
from cluster.controller import Controller
from cluster.demand import DemandReport
from cluster.publisher import Publisher
from cluster.snapshot import ModelView
from nodes.relay.contract import Address
from nodes.snapshot import EngineEndpoint
from router.demand import DemandReporter
from support.cluster_facts import GIB, desired, held, node, pool
from support.fake_node import FakeNode
from support.front_ends import FrontEndCall, replayed
from support.gateway import Running, running_gateway
from support.manual_clock import ManualClock
from support.upstream import answer_kindly, scripted_upstream

CALLS, TOGETHER = 1000, 20
SLEEPS = "{source: packaged:smollm2, engine: llamacpp, context: 2048, keep_alive: 2m}"
QUESTION = FrontEndCall("user", "title", "/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]})


@dataclass
class House:
    """One machine with room for one of two models that sleep; its head ticks by hand, its gateway is real."""

    controller: Controller
    machine: FakeNode
    clock: ManualClock
    running: Running
    engine: Address
    client: httpx2.AsyncClient
    _sequence: int = 1

    async def tick(self) -> dict[str, ModelView]:
        """A second: what the gateway has to say, what the head makes of it, and what the gateway hears of that."""
        self.clock.advance(1.0)
        gateway, view = self.running.gateway, self.running.view
        gateway.dispatcher.context.flush()
        head = AdminClient(self.running.paths.head_socket)
        reporter = DemandReporter(head, gateway.dispatcher.context, gateway.uses, lambda: view.table, "gateway-1")
        self.controller.note_demand(DemandReport("gateway-1", reporter.demand(gateway.uses.take())))
        left = tuple(one for one in self.machine.snapshot.engines if one.state != "draining")
        self.machine.snapshot = replace(self.machine.snapshot, engines=left)
        await self.controller.look()
        snapshot = await self.controller.tick()
        self._sequence += 1
        view.install_cluster(replace(snapshot, epoch=1, sequence=self._sequence))
        return {str(model.name): model for model in snapshot.models}

    async def wake(self, name: str) -> None:
        """By a user's question, which is answered."""
        asking = asyncio.create_task(self.ask(QUESTION, name))
        await self.running.until_waiting(1)
        await self.tick()
        endpoint = EngineEndpoint(self.engine.host, self.engine.port, None)
        self.machine.become_ready()
        engines = tuple(replace(engine, endpoint=endpoint) for engine in self.machine.snapshot.engines)
        self.machine.snapshot = replace(self.machine.snapshot, engines=engines)
        assert (await self.tick())[name].state == "ready"
        assert (await asking).status_code == 200
        await self.tick()

    async def ask(self, call: FrontEndCall, model: str) -> httpx2.Response:
        return await self.client.post(call.path, json={**call.body, "model": model})

    async def ask_all(self, calls: list[FrontEndCall], model: str) -> Counter[int]:
        """So many at a time, with a second of the head's between."""
        statuses = Counter[int]()
        for at in range(0, len(calls), TOGETHER):
            answers = await asyncio.gather(*(self.ask(call, model) for call in calls[at : at + TOGETHER]))
            statuses.update(answer.status_code for answer in answers)
            await self.tick()
        return statuses


@asynccontextmanager
async def a_house(root: Path, router: str = "{}") -> AsyncIterator[House]:
    models = [held("big", 4 * GIB), held("small", 4 * GIB)]
    machine, clock = FakeNode(node("box", models, pools=[pool("ram", 7)])), ManualClock()
    config = f"router: {router}\nresidency: {{dwell: 30s}}\nmodels: {{big: {SLEEPS}, small: {SLEEPS}}}\n"
    controller = Controller([machine], desired(config), 5, Publisher(), clock)
    async with (
        scripted_upstream(answer_kindly) as upstream,
        running_gateway(root, []) as running,
        running.http() as client,
    ):
        house = House(controller, machine, clock, running, upstream.address, client)
        await house.tick()
        yield house


async def test_a_thousand_front_end_calls_load_and_evict_nothing(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        nobody = await house.ask_all(replayed("big", CALLS // 4, seed=1), "big")
        assert (nobody, house.machine.orders) == ({503: CALLS // 4}, []), "nobody is awake, and nobody is woken"
        await house.wake("small")
        orders = list(house.machine.orders)
        assert orders == [("ensure", "small.box.1")]

        of_big = await house.ask_all(replayed("big", CALLS // 2, seed=2), "big")
        of_small = await house.ask_all(replayed("small", CALLS // 4, seed=3), "small")

        assert (of_big, of_small) == ({200: CALLS // 2}, {200: CALLS // 4})
        assert house.machine.orders == orders
        assert (await house.tick())["big"].state == "asleep"


async def test_they_keep_no_model_awake(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        await house.wake("small")
        for call in replayed("small", 130):  # a second each, longer than it stays awake for nobody
            await house.ask(call, "small")
            await house.tick()

        assert (await house.tick())["small"].state == "asleep"
        assert house.machine.orders == [("ensure", "small.box.1"), ("drain", "small.box.1")]


async def test_a_user_wakes_what_is_asked_for_and_so_does_a_title_where_the_operator_wants_that(tmp_path: Path) -> None:
    async with a_house(tmp_path, "{side_calls: as_asked}") as house:
        asking = asyncio.create_task(house.ask(replayed("big", 1)[0], "big"))
        await house.running.until_waiting(1)
        await house.tick()
        assert house.machine.orders == [("ensure", "big.box.1")]
        asking.cancel()

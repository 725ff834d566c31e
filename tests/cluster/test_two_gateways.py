"""Demand for models that sleep, as two gateways report it to the head's own routes: it adds up, each can withdraw."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import httpx2
from fastapi import FastAPI

from cluster.admin_demand import add_demand_routes
from cluster.demand import HOLDS_S, DemandReport, ModelDemand
from cluster.placement import place
from cluster.placement_values import Candidate
from cluster.residence import Residence
from inventory.catalog import ModelName
from support.cluster_facts import GIB, desired, engine, held, node, pool
from support.manual_clock import ManualClock

SLEEPS = "{source: packaged:smollm2, engine: llamacpp, context: 2048, keep_alive: 2m}"
CONFIG = desired(f"residency: {{dwell: 30s}}\nmodels: {{a: {SLEEPS}, b: {SLEEPS}}}\n")


@dataclass
class Head:
    """One machine with room for one of the two; what is placed there serves at once."""

    client: httpx2.AsyncClient
    residence: Residence
    clock: ManualClock
    runs: tuple[str, ...] = ()

    async def second(self, **gateways: dict[str, tuple[int, int]]) -> dict[str, str]:
        """Each gateway says how many wait and run; then the head decides. Who is awake, and how those stand."""
        self.clock.advance(1.0)
        for name, models in gateways.items():
            said = [
                ModelDemand(ModelName(model), waiting, running, 6.0 * waiting)
                for model, (waiting, running) in models.items()
            ]
            answer = await self.client.post("/api/v1/demand", json=asdict(DemandReport(name, tuple(said))))
            assert answer.json() == {"count": len(said)}
        holds = [held("a", 4 * GIB), held("b", 4 * GIB)]
        snapshot = node("box", holds, engines=[engine(one) for one in self.runs], pools=[pool("ram", 6)])
        wanted = CONFIG.node(snapshot.node_id)
        assert wanted is not None
        candidates = [Candidate(wanted, snapshot)]
        roster = self.residence.decide(CONFIG, candidates)
        self.runs = tuple(item.spec.engine_id for item in place(roster.models, candidates).assignments)
        return {str(name): stance.kind for name, stance in roster.stances.items()}


@asynccontextmanager
async def head() -> AsyncIterator[Head]:
    clock = ManualClock()
    residence, app = Residence(clock), FastAPI()
    add_demand_routes(app, residence)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://head") as client:
        yield Head(client, residence, clock)


async def test_what_two_gateways_wait_for_is_started_once_and_stays_while_either_asks() -> None:
    async with head() as home:
        await home.second(one={"a": (1, 0)}, two={"a": (2, 0)})
        assert home.runs == ("a.box.1",)

        for _ in range(150):
            await home.second(one={}, two={"a": (0, 1)})
        assert home.runs == ("a.box.1",)
        for _ in range(119):
            await home.second(one={}, two={})
        assert home.runs == ("a.box.1",), "its keep-alive counts from the last that was asked anywhere"
        for _ in range(4):
            await home.second(one={}, two={})
        assert not home.runs


async def test_a_model_that_makes_room_does_not_leave_while_it_answers_at_either_gateway() -> None:
    async with head() as home:
        await home.second(one={"a": (1, 0)}, two={"a": (1, 0)})
        for _ in range(35):
            await home.second(one={"a": (0, 1)}, two={"a": (0, 1)})
        for _ in range(10):
            stances = await home.second(one={"b": (9, 0)}, two={"a": (0, 1), "b": (9, 0)})
        assert stances == {"a": "yielding", "b": "asleep"}
        assert home.runs == ("a.box.1",)

        await home.second(one={"b": (9, 0)}, two={"b": (9, 0)})
        assert home.runs == ("b.box.1",)


async def test_the_demand_of_both_counts_against_what_one_has() -> None:
    """Three that are served outweigh eight that wait at the other gateway, and not as many more at their own."""
    async with head() as home:
        await home.second(one={"a": (3, 0)}, two={})
        for _ in range(60):
            await home.second(one={"a": (0, 3)}, two={})
        for _ in range(8):
            stances = await home.second(one={"a": (0, 3)}, two={"b": (8, 0)})
        assert stances == {"a": "resident", "b": "asleep"}
        for _ in range(40):
            stances = await home.second(one={"a": (0, 3), "b": (8, 0)}, two={"b": (8, 0)})
            if stances["a"] == "yielding":
                break
        assert stances["a"] == "yielding"


async def test_a_gateway_that_is_gone_asks_for_nothing_after_a_few_seconds() -> None:
    async with head() as home:
        await home.second(one={"a": (0, 0)}, two={"b": (1, 0)})
        assert home.runs == ("b.box.1",)
        for _ in range(int(HOLDS_S) + 1):
            await home.second(one={"a": (0, 0)})
        stances = await home.second(one={"a": (1, 0)})
        assert stances == {"a": "asleep", "b": "resident"}, "within b's dwell time"
        for _ in range(33):
            await home.second(one={"a": (1, 0)})
        assert home.runs == ("a.box.1",)

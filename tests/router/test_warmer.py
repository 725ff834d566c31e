"""An idle machine reads ahead what sessions share, through the real gateway and real sockets; a request stops it."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
from structlog.testing import capture_logs

from cluster.router_policy import Warming
from inventory.clock import SystemClock
from nodes.rates import Rates
from nodes.relay.contract import Address
from nodes.snapshot import NodeId
from router.foresight import Question
from router.warming import QUIET_S
from support.engines import FaultEngine, running_fault_engine
from support.gateway import MODEL, Running, cluster_of, engine_at, node_with, running_gateway
from support.nodes import until

DOCUMENT = " ".join(f"word{number}" for number in range(900))  # some two thousand tokens, as the gateway reckons
FAST, LARGE = Rates(5000.0, 1e9, 0.005, 0.0, 0.0), Rates(1200.0, 1e9, 0.01, 0.0, 0.0)


class ClockAhead(SystemClock):
    """Goes on by itself, as sockets do, and jumps when a test says so."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s

    def advance(self, seconds: float) -> None:
        self.ahead_s += seconds


@dataclass
class House:
    """Two machines with one model: a fast one that gets all requests, and one that is idle."""

    gateway: Running
    client: httpx2.AsyncClient
    fast: FaultEngine
    large: FaultEngine
    clock: ClockAhead
    sequence: int = 1

    def publish(self, warming: Warming = "on") -> None:
        self.sequence += 1
        nodes = []
        for name, engine, rates in (("fast", self.fast, FAST), ("large", self.large, LARGE)):
            found = engine_at(Address("127.0.0.1", engine.port), f"{MODEL}.{name}", context_tokens=32_768, slots=4)
            nodes.append(replace(node_with([replace(found, rates=rates)]), node_id=NodeId(name)))
        snapshot = replace(cluster_of([], sequence=self.sequence), nodes=tuple(nodes), warming=warming)
        self.gateway.view.install_cluster(snapshot)

    async def ask(self, session: str, text: str = DOCUMENT) -> str:
        """About the document. Returns which machine answered."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": f"{text} what says {session}?"}]}
        answer = await self.client.post("/v1/chat/completions", json=body, headers={"session-id": session})
        assert answer.status_code == 200
        return answer.headers["x-potluck-node"]

    async def share(self) -> None:
        for session in ("one", "two", "three"):
            assert await self.ask(session) == "fast"

    @property
    def busy(self) -> bool:
        return self.gateway.gateway.dispatcher.context.warmer.busy

    @property
    def held_bytes(self) -> int:
        return self.gateway.gateway.dispatcher.context.warmer.held_bytes

    def at_rest(self) -> bool:
        """No slot is taken and no account holds anything."""
        context = self.gateway.gateway.dispatcher.context
        ids = [candidate.engine_id for candidate in self.gateway.view.candidates()]
        known = context.foresight.prospect(Question(10, "test"), ids, self.clock.monotonic_s())
        assert known is not None
        return self.gateway.in_flight == 0 and all(
            (one.in_flight, one.decoding, one.backlog_tokens) == (0, 0, 0) for one in known.standings.values()
        )


@asynccontextmanager
async def a_house(root: Path, warming: Warming = "on") -> AsyncIterator[House]:
    clock = ClockAhead()
    with ExitStack() as stack:
        fast, large = (
            stack.enter_context(running_fault_engine(root / name, "llamacpp", "--model-name", MODEL))
            for name in ("fast", "large")
        )
        async with running_gateway(root, [], clock=clock) as gateway, gateway.http() as client:
            house = House(gateway, client, fast, large, clock)
            house.publish(warming)
            yield house
            await until(house.at_rest, "nothing is left over")


async def test_an_idle_machine_reads_what_sessions_share_and_who_asks_next_finds_it_there(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        with capture_logs() as logs:
            await house.share()
            house.clock.advance(QUIET_S + 1)
            await until(lambda: house.held_bytes == 0 and not house.busy, "it was read, and is forgotten")
        house.fast.process.kill()
        assert await house.ask("four") == "large"
        records = house.gateway.finished()
        metrics = (await house.client.get("/metrics")).text

    assert [record.cached_tokens for record in records][-1] == 832
    assert len(records) == 4  # what was read ahead is nobody's request
    told = [line for line in logs if line["event"] == "warm_up"]
    assert [(line["outcome"], line["node"]) for line in told] == [("read", "large"), ("read", "large")]
    assert "several sessions began with these" in told[0]["reason"]
    assert "word1" not in str(logs)
    assert 'potluck_warm_ups_total{node="large",outcome="read"} 2.0' in metrics


async def test_a_request_for_its_machine_stops_it_at_once_and_it_goes_on_later(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.large.inject(prompt_tokens_per_s=1.0)  # it would read for minutes
        await house.share()
        house.clock.advance(QUIET_S + 1)
        await until(lambda: house.large.state()["active"] == 1, "it reads")
        house.large.inject(prompt_tokens_per_s=0.0)
        house.fast.process.kill()

        assert await house.ask("four", "short") == "large"
        assert not house.busy
        assert house.held_bytes > 0
        await until(lambda: house.large.state()["cancelled"] == 1, "its slot is free")


async def test_nothing_is_kept_or_read_where_it_is_switched_off(tmp_path: Path) -> None:
    async with a_house(tmp_path, "off") as house:
        await house.share()
        assert house.held_bytes == 0
        house.large.inject(prompt_tokens_per_s=1.0)
        house.publish("on")
        await house.share()
        assert house.held_bytes > 0
        house.clock.advance(QUIET_S + 1)
        await until(lambda: house.large.state()["active"] == 1, "it reads")
        house.publish("off")

        assert (house.held_bytes, house.busy) == (0, False)
        await until(lambda: house.large.state()["cancelled"] == 1, "its slot is free")


async def test_two_sessions_are_not_enough(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for session in ("one", "two", "one", "two"):
            await house.ask(session)

        assert house.held_bytes == 0


async def test_an_engine_that_refuses_is_not_asked_again(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        house.large.inject(failing=True)
        with capture_logs() as logs:
            await house.share()
            house.clock.advance(QUIET_S + 1)
            await until(lambda: house.held_bytes == 0, "it is given up")

        assert [line["why"] for line in logs if line["event"] == "warm_up"] == ["answered 500"]
        assert await house.ask("four") == "fast"

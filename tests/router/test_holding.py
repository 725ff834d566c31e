"""What waits at the gateway and not at an engine: by the seconds before it, by slots, by room; and over the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.router_policy import RouterPolicy
from nodes.rates import Rates
from router.holding import FAR_S, WAIT, hold_of
from support.decisions import STANDINGS, counted, decision_of, on
from support.gateway import Running, access_with, engine_at, key_record, running_gateway
from support.nodes import until
from support.upstream import DONE, STREAM_HEAD, Asked, framed, scripted_upstream, token_event

CHAT = "/v1/chat/completions"
SLOW = Rates(100.0, 32_000.0, 0.01, 0.001, 0.0)  # a prompt of 1,000 tokens takes it 10 s
SCRIPT, PERSON = "pl_script_" + "s" * 43, "pl_person_" + "s" * 43


def test_a_turn_that_is_far_is_waited_for_here_and_a_near_one_at_the_engine() -> None:
    near, far = on(in_flight=1, backlog_s=FAR_S - 0.1), on(in_flight=1, backlog_s=FAR_S + 0.1)

    assert hold_of(decision_of([near])) is None
    assert hold_of(decision_of([far])) == "turn"


def test_nobody_is_kept_from_an_engine_that_has_nothing_of_this_gateway() -> None:
    assert hold_of(decision_of([on(in_flight=0, backlog_s=100.0)])) is None


def test_who_is_far_at_one_goes_to_another_without_waiting() -> None:
    assert hold_of(decision_of([on(in_flight=1, backlog_s=60.0), on(in_flight=1, backlog_s=1.0)])) is None


@pytest.mark.parametrize("policy", ["round-robin", "least-requests", "power-of-two", "weighted-sum"])
def test_where_no_seconds_decide_none_hold_anybody_back(policy: RouterPolicy) -> None:
    assert hold_of(decision_of([on(in_flight=1, backlog_s=60.0)], policy=policy)) is None
    assert hold_of(counted({"a": 3, "b": 3}, policy)) is None


def test_slots_hold_back_where_nobody_has_measured() -> None:
    assert hold_of(counted({"a": 4, "b": 4})) is None
    assert hold_of(counted({"a": 5, "b": 5})) == "turn"


@given(st.lists(STANDINGS, min_size=1, max_size=4))
def test_whoever_goes_on_finds_its_turn_near_or_its_engine_with_nothing_to_do(standings: list[object]) -> None:
    decision = decision_of(standings)  # type: ignore[arg-type]  # hypothesis does not say what `builds` builds
    candidate, running = decision.entrants[decision.places[0].at]
    if hold_of(decision) is None:
        assert not running or decision.places[0].amounts[WAIT] <= FAR_S
        assert running <= candidate.slots


@dataclass
class Reader:
    """An engine that reads one prompt at a time, each until it is told, and then writes to the end."""

    asked: list[str] = field(default_factory=list)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def script(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(json.loads(asked.body)["messages"][0]["content"].split(" ")[0])
        await self.turns.acquire()
        writer.write(STREAM_HEAD + framed(token_event("x")) + framed(DONE) + b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def slow_machine(root: Path) -> AsyncIterator[tuple[Running, Reader]]:
    reader = Reader()
    async with scripted_upstream(reader.script) as upstream:
        engine = replace(engine_at(upstream.address, slots=32, context_tokens=8192), rates=SLOW)
        async with running_gateway(root, [engine]) as running:
            keys = [key_record(SCRIPT), key_record(PERSON)]
            running.view.install_access(access_with(running.paths, keys, sequence=2))
            yield running, reader


async def ask(running: Running, who: str, key: str, words: int, **headers: str) -> httpx2.Response:
    async with running.http(key) as client:
        said = [{"role": "user", "content": who + " word" * words}]
        body = {"model": "toy", "max_tokens": 10, "stream": True, "messages": said}
        return await client.post(CHAT, json=body, headers=headers)


async def test_a_person_does_not_wait_for_the_prompts_that_a_script_has_sent(tmp_path: Path) -> None:
    """There are slots for all of them: what is scarce is reading."""
    async with slow_machine(tmp_path) as (running, reader):
        asks = [asyncio.ensure_future(ask(running, "script", SCRIPT, 1000)) for _ in range(6)]
        await running.until_waiting(5)
        asks.append(asyncio.ensure_future(ask(running, "person", PERSON, 5)))
        await running.until_waiting(6)
        for _ in asks:
            reader.turns.release()
        answers = await asyncio.gather(*asks)
        await running.until_idle()

        assert reader.asked.index("person") <= 2  # one of each, once both wait
        assert [answer.text.rstrip().endswith("data: [DONE]") for answer in answers] == [True] * 7
        assert running.in_flight == running.waiting == 0


async def test_who_cannot_be_in_time_hears_so_at_once(tmp_path: Path) -> None:
    async with slow_machine(tmp_path) as (running, reader):
        first = asyncio.ensure_future(ask(running, "script", SCRIPT, 1000))
        await until(lambda: reader.asked, "the first is being read")
        refused = await ask(running, "person", PERSON, 5, **{"x-potluck-deadline": "2"})
        taken = asyncio.ensure_future(ask(running, "person", PERSON, 5, **{"x-potluck-deadline": "3600"}))
        await running.until_waiting(1)
        reader.turns.release()
        reader.turns.release()

        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "saturated")
        assert 5 <= int(refused.headers["retry-after"]) <= 20
        assert [(await one).status_code for one in (first, taken)] == [200, 200]
        assert reader.asked == ["script", "person"]


@pytest.mark.parametrize("deadline", ["soon", "-1", "0", "nan", "1e9"])
async def test_a_deadline_that_is_none_is_refused_by_name(tmp_path: Path, deadline: str) -> None:
    async with slow_machine(tmp_path) as (running, reader):
        answer = await ask(running, "person", PERSON, 5, **{"x-potluck-deadline": deadline})

        assert answer.status_code == 400
        assert "`x-potluck-deadline` is a number of seconds" in answer.json()["error"]["message"]
        assert reader.asked == []

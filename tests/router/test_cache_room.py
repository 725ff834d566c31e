"""Requests that share an engine's cache: let in while their promises fit, and otherwise in order of arrival."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from random import Random

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.catalog import ModelName
from nodes.relay.contract import Address
from nodes.snapshot import EngineId, EngineSnapshot
from router.decision import ModelRoutes, routing_table
from router.request import Parsed, SizeOnly
from router.scoring import crowded_out, decide, projected_tokens
from support.gateway import Running, cluster_of, engine_at, running_gateway
from support.upstream import Asked, answer_kindly, scripted_upstream

CHAT = "/v1/chat/completions"
CONTEXT, CACHE = 2048, 3000
HERE = Address("127.0.0.1", 1)


def asking(characters: int, answer: int | None = None) -> Parsed:
    return Parsed("toy", False, False, characters, answer, SizeOnly())


def sharing(address: Address = HERE, name: str = "toy-1") -> EngineSnapshot:
    return replace(engine_at(address, name, context_tokens=CONTEXT), cache_tokens=CACHE)


def routes(*engines: EngineSnapshot) -> ModelRoutes:
    return routing_table(cluster_of(engines)).models[ModelName("toy")]


def test_a_request_is_promised_its_prompt_and_the_answer_it_allows() -> None:
    assert projected_tokens(asking(400, 50), CONTEXT) == 150
    assert projected_tokens(asking(400), CONTEXT) == CONTEXT
    assert projected_tokens(asking(400, 10_000), CONTEXT) == CONTEXT
    assert projected_tokens(asking(1_000_000, 5), CONTEXT) == CONTEXT


def test_an_engine_whose_cache_is_promised_takes_no_more() -> None:
    a, b = EngineId("a"), EngineId("b")
    found = routes(sharing(name="a"), sharing(name="b"))
    one_full = decide(found, asking(400, 50), {a: 2, b: 1}, {}, (), {a: 2900, b: 2850})
    all_full = decide(found, asking(400, 50), {a: 2, b: 1}, {}, (), {a: 2900, b: 2851})

    assert [score.engine_id for score in one_full.ranked] == ["b"]
    assert dict(one_full.rejected)[a] == "kv: 2,900 of 3,000 tokens are promised to 2 requests"
    assert (crowded_out(one_full), crowded_out(all_full)) == (False, True)
    assert dict(all_full.rejected)[b] == "kv: 2,851 of 3,000 tokens are promised to 1 request"


def test_a_request_alone_on_an_engine_is_let_in() -> None:
    assert decide(routes(sharing()), asking(400), {}, {}, (), {}).ranked


def test_an_engine_whose_slots_have_a_context_each_promises_nothing() -> None:
    found = routes(engine_at(HERE))

    assert decide(found, asking(400), {EngineId("toy-1"): 9}, {}, (), {}).ranked


@given(st.lists(st.tuples(st.integers(0, 9000), st.none() | st.integers(1, 4000)), max_size=12))
def test_what_is_promised_never_exceeds_the_cache(asked: list[tuple[int, int | None]]) -> None:
    found, engine = routes(sharing()), EngineId("toy-1")
    running = promised = 0
    for characters, answer in asked:
        parsed = asking(characters, answer)
        if decide(found, parsed, {engine: running}, {}, (), {engine: promised}).ranked:
            running, promised = running + 1, promised + projected_tokens(parsed, CONTEXT)
        assert promised <= CACHE


# --- the gateway


class Held:
    """An engine that answers each request when the test says so."""

    def __init__(self) -> None:
        self.gates: dict[int, asyncio.Event] = {}

    async def script(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await self.gates.setdefault(number_of(asked), asyncio.Event()).wait()
        await answer_kindly(asked, writer)

    def open(self, number: int) -> None:
        self.gates.setdefault(number, asyncio.Event()).set()


def body(number: int, answer: int, stream: bool = False) -> dict[str, object]:
    content = f"number {number}"
    return {
        "model": "toy", "messages": [{"role": "user", "content": content}], "max_tokens": answer, "stream": stream,
    }  # fmt: skip


def number_of(asked: Asked) -> int:
    return int(json.loads(asked.body)["messages"][0]["content"].split()[1])


def begin(client: httpx2.AsyncClient, document: dict[str, object]) -> "asyncio.Task[httpx2.Response]":
    return asyncio.create_task(client.post(CHAT, json=document))


def nothing_is_left(running: Running) -> bool:
    context = running.gateway.dispatcher.context
    return not context.ledger.promised and not context.ledger.in_flight and not context.room.crowded


async def test_who_finds_the_cache_promised_waits_and_nobody_gets_past(tmp_path: Path) -> None:
    held = Held()
    async with (
        scripted_upstream(held.script) as upstream,
        running_gateway(tmp_path, [sharing(upstream.address)]) as running,
        running.http() as client,
    ):
        first, second = begin(client, body(1, 1000)), begin(client, body(2, 1000))
        await upstream.until(lambda seen: len(seen.asked) == 2)
        large = begin(client, body(3, 2000))
        await running.until_waiting(1)
        small = begin(client, body(4, 10, stream=True))  # would fit, and came later
        await running.until_waiting(2)
        held.open(1)
        await first
        assert running.gateway.dispatcher.context.room.crowded == {"toy"}
        held.open(2)
        await second
        await upstream.until(lambda seen: len(seen.asked) == 4)
        assert [number_of(asked) for asked in upstream.asked[2:]] == [3, 4]
        held.open(3)
        held.open(4)
        answers = await asyncio.gather(large, small)
        await running.until_idle()

        assert [answer.status_code for answer in answers] == [200, 200]
        assert nothing_is_left(running)


async def test_a_whole_answer_waits_for_its_turn_as_long_as_its_deadline_lets_it(tmp_path: Path) -> None:
    held = Held()
    async with (
        scripted_upstream(held.script) as upstream,
        running_gateway(tmp_path, [sharing(upstream.address)], wait_s=0.1) as running,
        running.http() as client,
    ):
        first = begin(client, body(1, 2000))
        await upstream.until(lambda seen: len(seen.asked) == 1)
        patient = begin(client, body(2, 2000))
        await running.until_waiting(1)
        hurried = await client.post(CHAT, json=body(3, 2000), headers={"x-potluck-deadline": "0.3"})
        assert running.waiting == 1  # for longer than it would have waited for a model that is not there
        held.open(1)
        held.open(2)

        assert [(await one).status_code for one in (first, patient)] == [200, 200]
        assert (hurried.status_code, "retry-after" in hurried.headers) == (429, True)
        assert "`toy` has no place for this request by its deadline" in hurried.json()["error"]["message"]
        assert nothing_is_left(running)


async def test_a_stream_that_waits_is_told_so(tmp_path: Path) -> None:
    held = Held()
    async with (
        scripted_upstream(held.script) as upstream,
        running_gateway(tmp_path, [sharing(upstream.address)]) as running,
        running.http() as client,
    ):
        first = begin(client, body(1, 2000))
        await upstream.until(lambda seen: len(seen.asked) == 1)
        async with client.stream("POST", CHAT, json=body(2, 2000, stream=True)) as answer:
            lines = answer.aiter_lines()
            told = json.loads((await anext(lines)).removeprefix(": keepalive "))
            held.open(1)
            held.open(2)
            rest = [line async for line in lines]
        await first

    assert (told["state"], told["reason"]) == ("ready", "all that it has is taken by other requests")
    assert rest[-2:] == ["data: [DONE]", ""]


async def test_an_engine_that_goes_away_meanwhile_leaves_nobody_behind(tmp_path: Path) -> None:
    held = Held()
    async with (
        scripted_upstream(held.script) as upstream,
        running_gateway(tmp_path, [sharing(upstream.address)], wait_s=0.3) as running,
        running.http() as client,
    ):
        first = begin(client, body(1, 2000))
        await upstream.until(lambda seen: len(seen.asked) == 1)
        second = begin(client, body(2, 2000))
        await running.until_waiting(1)
        starting = replace(cluster_of([engine_at(None, state="starting")], sequence=2))
        running.view.install_cluster(replace(starting, models=(replace(starting.models[0], state="starting"),)))
        answer = await second
        held.open(1)
        await first

        assert answer.status_code == 503
        assert nothing_is_left(running)


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_mix_of_ends_nothing_is_left(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        ends = chance.choice(("well", "well", "dies", "refuses"))
        if ends == "well":
            await answer_kindly(asked, writer)
        elif ends == "dies":
            writer.close()
        else:
            writer.write(b"HTTP/1.1 500 Error\r\ncontent-length: 2\r\n\r\n{}")

    async def one(client: httpx2.AsyncClient, number: int) -> None:
        asked = begin(client, body(number, chance.choice((10, 500, 2000)), stream=chance.random() < 0.5))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
            asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    async with (
        scripted_upstream(script) as upstream,
        running_gateway(tmp_path, [sharing(upstream.address)], wait_s=0.5) as running,
        running.http() as client,
    ):
        await asyncio.gather(*(one(client, number) for number in range(40)))
        await running.until_idle()
        assert nothing_is_left(running)
        assert not any(running.gateway.dispatcher.context.room.waiting.values())

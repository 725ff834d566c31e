"""Limits over the wire: what 200 clients at once get, and whether headers say what is so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import openai
import pytest

from cluster.limits import NO_RULES, GroupLimits, LimitRules, Limits
from support.gateway import KEY, Running, access_with, engine_at, key_record, running_gateway
from support.nodes import until
from support.upstream import (
    DONE,
    LAST_CHUNK,
    STREAM_HEAD,
    Asked,
    Upstream,
    framed,
    scripted_upstream,
    token_event,
    usage_event,
    whole,
)

CLIENTS = 200
PROMPT, OUTPUT = 30, 20
NOTHING: Mapping[str, object] = {}
OTHER = "pl_other1_" + "s" * 43
CHAT = {"model": "toy", "messages": [{"role": "user", "content": "x" * 4 * PROMPT}], "max_tokens": OUTPUT}


@asynccontextmanager
async def limited(
    root: Path, limits: Limits, rules: LimitRules = NO_RULES
) -> AsyncIterator[tuple[Running, Upstream, asyncio.Event]]:
    """An engine that answers nobody before the event; two keys of one group, one of them with limits."""
    go_on = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(streamed() if asked.json.get("stream") else whole(body()))
        await writer.drain()

    async with (
        scripted_upstream(answer) as upstream,
        running_gateway(root, [engine_at(upstream.address, slots=CLIENTS)]) as running,
    ):
        keys = [replace(key_record(KEY), limits=limits), key_record(OTHER)]
        running.view.install_access(replace(access_with(running.paths, keys, sequence=2), limits=rules))
        yield running, upstream, go_on


def body() -> bytes:
    choice = b'{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello"}}'
    usage = b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (PROMPT, OUTPUT, PROMPT + OUTPUT)
    head = b'{"id":"1","object":"chat.completion","created":1,"model":"toy",'
    return head + b'"choices":[%b],"usage":%b}' % (choice, usage)


def streamed() -> bytes:
    return STREAM_HEAD + framed(token_event("Hello")) + framed(usage_event(PROMPT, OUTPUT)) + framed(DONE) + LAST_CHUNK


async def ask(running: Running, key: str = KEY, more: Mapping[str, object] = NOTHING) -> httpx2.Response:
    async with running.http(key) as client:
        return await client.post("/v1/chat/completions", json={**CHAT, **more})


async def rush(running: Running, upstream: Upstream, go_on: asyncio.Event, admitted: int) -> list[httpx2.Response]:
    """All clients at once; the engine answers when all that are let in have arrived at it."""
    limits = httpx2.Limits(max_connections=CLIENTS)
    async with httpx2.AsyncClient(base_url=running.base_url, limits=limits, trust_env=False, timeout=30) as client:
        headers = {"authorization": f"Bearer {KEY}"}
        asks: list[Awaitable[httpx2.Response]] = [
            client.post("/v1/chat/completions", json=CHAT | {"stream": number % 2 == 1}, headers=headers)
            for number in range(CLIENTS)
        ]
        tasks = [asyncio.ensure_future(one) for one in asks]
        await upstream.until(lambda known: len(known.asked) >= admitted, deadline_s=20)
        await until(lambda: sum(task.done() for task in tasks) >= CLIENTS - admitted, "the others are refused")
        go_on.set()
        return await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("limits", "admitted", "what"),
    [
        (Limits(requests_per_minute=37), 37, "37 requests per minute"),
        (Limits(requests_per_day=41), 41, "41 requests per day"),
        (Limits(concurrency=13), 13, "13 requests under way"),
        (Limits(tokens_per_minute=10 * (PROMPT + OUTPUT)), 10, "500 tokens per minute"),
        (Limits(tokens_per_day=12 * (PROMPT + OUTPUT) - 1), 11, "599 tokens per day"),
    ],
)
async def test_of_200_requests_at_once_exactly_those_within_the_limit_are_taken(
    tmp_path: Path, limits: Limits, admitted: int, what: str
) -> None:
    async with limited(tmp_path, limits) as (running, upstream, go_on):
        answers = await rush(running, upstream, go_on, admitted)
        await running.until_idle()

        assert Counter(answer.status_code for answer in answers) == {200: admitted, 429: CLIENTS - admitted}
        assert len(upstream.asked) == admitted
        refused = [answer for answer in answers if answer.status_code == 429]
        assert all(what in answer.json()["error"]["message"] for answer in refused)
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert running.gateway.dispatcher.refusals.take().total() <= len(refused)

        left = headers_agree(answers, admitted, limits)
        again = await ask(running)
        assert again.status_code == (200 if limits.concurrency else 429)
        if left is not None:
            assert again.headers["x-ratelimit-remaining-requests"] == "0"


def headers_agree(answers: list[httpx2.Response], admitted: int, limits: Limits) -> int | None:
    """Every answer tells the limit; the rest that they tell never grows while nothing leaves the window."""
    limit = limits.requests_per_minute or limits.requests_per_day
    if limit is None:
        return None
    taken = [answer for answer in answers if answer.status_code == 200]
    assert all(answer.headers["x-ratelimit-limit-requests"] == str(limit) for answer in answers)
    assert all(answer.headers["anthropic-ratelimit-requests-limit"] == str(limit) for answer in answers)
    assert {answer.headers["x-ratelimit-remaining-requests"] for answer in taken} == {str(limit - admitted)}
    return limit - admitted


async def test_tokens_overshoot_by_no_more_than_was_in_flight(tmp_path: Path) -> None:
    """Answers longer than was expected: four requests are let in by what they name, and take ten times as much."""
    async with limited(tmp_path, Limits(tokens_per_minute=100)) as (running, upstream, go_on):
        short = {"max_tokens": 1, "messages": [{"role": "user", "content": "x" * 96}]}
        asks = [asyncio.ensure_future(ask(running, more=short)) for _ in range(20)]
        await upstream.until(lambda known: len(known.asked) == 4)
        go_on.set()
        answers = await asyncio.gather(*asks)
        statuses = Counter(answer.status_code for answer in answers)
        last = await ask(running, more=short)

    in_flight = 4 * (PROMPT + OUTPUT)
    assert statuses == {200: 4, 429: 16}
    assert (last.status_code, last.headers["x-ratelimit-remaining-tokens"]) == (429, "0")
    assert sum(PROMPT + OUTPUT for answer in answers if answer.status_code == 200) <= 100 + in_flight


async def test_whatever_ends_a_request_gives_its_place_back(tmp_path: Path) -> None:
    async with limited(tmp_path, Limits(concurrency=1)) as (running, _, go_on):
        with pytest.raises(httpx2.TimeoutException):
            async with httpx2.AsyncClient(base_url=running.base_url, trust_env=False, timeout=0.3) as client:
                await client.post("/v1/chat/completions", json=CHAT, headers={"authorization": f"Bearer {KEY}"})
        await running.until_idle()
        bad = await ask(running, more={"temperature": "hot"})
        go_on.set()
        good = await ask(running)

    assert (bad.status_code, good.status_code) == (400, 200)


async def test_a_groups_limit_is_for_all_its_keys_and_an_sdk_reads_when_to_come_back(tmp_path: Path) -> None:
    rules = LimitRules(groups=(("family", GroupLimits(Limits(requests_per_minute=3))),))
    async with limited(tmp_path, Limits(), rules) as (running, _, go_on):
        go_on.set()
        assert [(await ask(running, key)).status_code for key in (KEY, OTHER, KEY)] == [200] * 3
        async with running.openai(OTHER) as client:
            with pytest.raises(openai.RateLimitError) as caught:
                await client.chat.completions.create(model="toy", messages=[{"role": "user", "content": "hi"}])

    assert caught.value.code == "rate_limit_exceeded"
    assert "the group family has used its 3 requests per minute" in caught.value.message
    assert int(caught.value.response.headers["retry-after"]) in range(50, 62)

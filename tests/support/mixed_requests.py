"""A thousand requests as people send them: chats and completions, streamed and whole, some left in the middle, some
wrong. Each carries a name, by which what became of it is found."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx2

WORDS = ("the", "river", "runs", "past", "an", "old", "mill", "where", "nobody", "has", "ground", "corn", "since")


@dataclass(frozen=True)
class Wanted:
    name: str
    path: str
    body: dict[str, Any]
    leave_after: int | None  # events of a stream, or milliseconds of a whole answer


@dataclass
class Got:
    """What its client saw of it."""

    wanted: Wanted
    status: int | None = None  # None: left before a head came
    events: int = 0  # that carried tokens
    usage: dict[str, Any] | None = None
    whole: bool = False


@dataclass(frozen=True)
class Mix:
    """Of what a crowd asks. A twentieth of it is wrong, whatever else."""

    model: str
    leaving: float = 0.3  # in the middle
    several: float = 0.1  # two answers to one prompt
    longest: int = 24  # tokens of an answer
    words: tuple[int, ...] = (3, 10, 40)  # of a prompt


def mixed(count: int, mix: Mix, seed: int) -> list[Wanted]:
    random = Random(seed)
    return [_one(random, f"mixed-{seed}-{number}", mix) for number in range(count)]


def _one(random: Random, name: str, mix: Mix) -> Wanted:
    text = " ".join(random.choices(WORDS, k=random.choice(mix.words)))
    stream, length = random.random() < 0.6, random.randint(1, mix.longest)
    body: dict[str, Any] = {"model": mix.model, "max_tokens": length, "stream": stream}
    if random.random() < mix.several:
        body["n"] = 2
    if stream and random.random() < 0.5:
        body["stream_options"] = {"include_usage": True}
    wrong = random.random()
    if wrong < 0.025:
        body["model"] = "nobody"
    elif wrong < 0.05:
        body["colour"] = "blue"
    leave_after = random.randint(0, length) if random.random() < mix.leaving else None
    if random.random() < 0.6:
        body["messages"] = [{"role": "user", "content": text}]
        return Wanted(name, "/v1/chat/completions", body, leave_after)
    return Wanted(name, "/v1/completions", {**body, "prompt": text}, leave_after)


async def ask_all(client: httpx2.AsyncClient, wanted: Sequence[Wanted], together: int) -> list[Got]:
    turn = asyncio.Semaphore(together)

    async def ask(one: Wanted) -> Got:
        async with turn:
            return await (_stream(client, one) if one.body["stream"] else _whole(client, one))

    return list(await asyncio.gather(*map(ask, wanted)))


async def _whole(client: httpx2.AsyncClient, one: Wanted) -> Got:
    patience_s = 60.0 if one.leave_after is None else one.leave_after / 1000
    got = Got(one)
    try:
        async with asyncio.timeout(patience_s):
            answer = await client.post(one.path, json=one.body, headers={"x-client-request-id": one.name})
    except TimeoutError:
        return got
    got.status, got.whole = answer.status_code, answer.status_code == 200
    got.usage = answer.json().get("usage")
    return got


async def _stream(client: httpx2.AsyncClient, one: Wanted) -> Got:
    got = Got(one)
    headers = {"x-client-request-id": one.name}
    async with client.stream("POST", one.path, json=one.body, headers=headers) as answer:
        got.status = answer.status_code
        if got.status != 200:
            await answer.aread()
            return got
        async for line in answer.aiter_lines():
            if line == "data: [DONE]":
                got.whole = True
            elif line.startswith("data:"):
                _note(got, json.loads(line.removeprefix("data:")))
            if one.leave_after is not None and got.events >= one.leave_after:
                return got
    return got


def _note(got: Got, event: dict[str, Any]) -> None:
    got.usage = event.get("usage") or got.usage
    for choice in event.get("choices", ()):  # an error has none
        said = choice.get("delta", choice)
        got.events += bool(said.get("content") or said.get("text"))

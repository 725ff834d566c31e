"""Clients that ask for models in turn and write down what they saw: comments with an ETA, errors, refusals."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

import httpx2

from support.machine import Running

COMMENT = ": keepalive "


@dataclass(frozen=True)
class Told:
    """A comment in a stream that waits."""

    at_s: float
    model: str
    state: str
    eta_s: float | None


@dataclass
class Seen:
    """What became of one request."""

    model: str
    streamed: bool
    began_s: float
    status: int = 0
    retry_after: str | None = None
    told: list[Told] = field(default_factory=list)
    first_event_s: float | None = None
    whole: bool = False  # it ended as it should
    error: str | None = None


@dataclass
class Watch:
    """When each model served, by what the gateway lists."""

    states: list[tuple[float, str, str]] = field(default_factory=list)

    def ready_after(self, model: str, at_s: float) -> float | None:
        return next(
            (when for when, name, state in self.states if name == model and state == "ready" and when > at_s), None
        )


class Clients:
    """So many of them, at one gateway."""

    def __init__(self, running: Running, models: Sequence[str], until_s: float) -> None:
        self._running, self._models, self._until_s = running, models, until_s
        self._headers = {"authorization": f"Bearer {running.api_key}"}
        self.seen: list[Seen] = []
        self.watch = Watch()

    async def run(self, count: int) -> None:
        limits = httpx2.Limits(max_connections=2 * count)
        async with httpx2.AsyncClient(headers=self._headers, timeout=120, trust_env=False, limits=limits) as http:
            watching = asyncio.create_task(self._follow(http))
            async with asyncio.TaskGroup() as tasks:
                for number in range(count):
                    tasks.create_task(self._client(http, number))
            watching.cancel()

    def streams(self) -> Iterator[Seen]:
        return (seen for seen in self.seen if seen.streamed)

    async def _client(self, http: httpx2.AsyncClient, number: int) -> None:
        turn = 0
        while monotonic() < self._until_s:
            model, turn = self._models[turn % len(self._models)], turn + 1
            seen = Seen(model, number % 2 == 0, monotonic())
            self.seen.append(seen)
            await (self._stream(http, seen) if seen.streamed else self._ask(http, seen))
            if seen.retry_after is not None:
                turn -= 1  # the same one again, when it was told to
                await asyncio.sleep(min(float(seen.retry_after), max(0.0, self._until_s - monotonic())))

    async def _ask(self, http: httpx2.AsyncClient, seen: Seen) -> None:
        answer = await http.post(f"{self._running.endpoint}/completions", json=_body(seen))
        seen.status, seen.retry_after = answer.status_code, answer.headers.get("retry-after")
        seen.whole = answer.status_code == 200 and bool(answer.json()["choices"])

    async def _stream(self, http: httpx2.AsyncClient, seen: Seen) -> None:
        async with http.stream("POST", f"{self._running.endpoint}/completions", json=_body(seen)) as answer:
            seen.status = answer.status_code
            async for line in answer.aiter_lines():
                if line.startswith(COMMENT):
                    note = json.loads(line.removeprefix(COMMENT))
                    seen.told.append(Told(monotonic(), note["model"], note["state"], note.get("eta_s")))
                elif line == "data: [DONE]":
                    seen.whole = True
                elif line.startswith("data: "):
                    seen.first_event_s = seen.first_event_s or monotonic()
                    seen.error = line if '"error"' in line else seen.error

    async def _follow(self, http: httpx2.AsyncClient) -> None:
        while True:
            listed = (await http.get(f"{self._running.endpoint}/models")).json()["data"]
            self.watch.states += [(monotonic(), model["id"], model["state"]) for model in listed]
            await asyncio.sleep(0.1)


def _body(seen: Seen) -> dict[str, object]:
    return {
        "model": seen.model,
        "prompt": "Once",  # one token: what is tested is the waiting
        "max_tokens": 4,
        "stream": seen.streamed,
    }

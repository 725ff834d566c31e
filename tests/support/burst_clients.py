"""Clients that come in bursts with prompts short and long, and write down how each request ended."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

import httpx2

WORDS = ("a tale ", "of rivers ", "and of towns ", "where nobody ", "had been ")
PIECES = (10, 10, 10, 10, 10, 10, 10, 10, 120, 500)  # of a prompt; 500 are about 1,400 tokens
BURST_EVERY_S = 12.0
LAST_S = 30.0  # after the end, for what is under way


@dataclass(frozen=True)
class Target:
    """Where a model is asked for."""

    base_url: str  # with /v1
    key: str


@dataclass
class Seen:
    """How requests ended. refused: 503 with Retry-After. cut: begun, and ended by an error. unfinished: they still
    waited when the run was over. odd: anything else."""

    ends: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(self.ends.values())

    def note(self, end: str, told: str = "") -> None:
        self.ends[end] += 1
        if end in ("odd", "cut"):
            (self.odd if end == "odd" else self.cut).append(told[:300])


async def bursts(targets: Mapping[str, Target], clients: int, seconds: float, seen: Seen) -> None:
    """Each client asks for one model: some ask again and again, the others come all together every few seconds."""
    end_s = monotonic() + seconds
    limits = httpx2.Limits(max_connections=2 * clients)
    async with httpx2.AsyncClient(timeout=None, trust_env=False, limits=limits) as http:
        asking = [
            asyncio.create_task(
                _client(http, sorted(targets)[number % len(targets)], targets, random.Random(number), end_s, seen)
            )
            for number in range(clients)
        ]
        done, late = await asyncio.wait(asking, timeout=seconds + LAST_S)
        for client in late:
            client.cancel()
            seen.note("unfinished")
        for client in done:
            client.result()


async def _client(
    http: httpx2.AsyncClient, model: str, targets: Mapping[str, Target], chance: random.Random, end_s: float, seen: Seen
) -> None:
    pause_s = chance.choice((0.2, BURST_EVERY_S))
    while monotonic() < end_s:
        body = {
            "model": model,
            "messages": [
                {"role": "user", "content": "".join(chance.choice(WORDS) for _ in range(chance.choice(PIECES)))}
            ],
            "max_tokens": 12,
            "stream": chance.random() < 0.5,
        }
        wait_s = pause_s - monotonic() % pause_s
        try:
            wait_s = max(wait_s, await _ask(http, targets[model], body, seen))
        except httpx2.HTTPError as error:  # nobody there, or gone in mid-answer
            seen.note("cut", f"{type(error).__name__}: {error}")
        await asyncio.sleep(max(0.0, min(wait_s, end_s - monotonic())))


async def _ask(http: httpx2.AsyncClient, target: Target, body: dict[str, object], seen: Seen) -> float:
    """Returns how long the client was told to wait."""
    headers = {"authorization": f"Bearer {target.key}"}
    url = f"{target.base_url}/chat/completions"
    async with http.stream("POST", url, json=body, headers=headers) as answer:
        text = (await answer.aread()).decode(errors="replace")
    wait_s = float(answer.headers.get("retry-after", "0"))
    if answer.status_code == 503 and wait_s >= 1:
        seen.note("refused")
    elif answer.status_code != 200:
        begun = answer.status_code in (502, 504)  # its engine went while it was at work
        seen.note("cut" if begun else "odd", f"{answer.status_code}: {text}")
    elif not body["stream"]:
        seen.note("ok" if '"choices"' in text else "odd", text)
    elif '"error"' in text:
        seen.note("refused" if '"model_not_ready"' in text else "cut", text[-300:])
    else:
        seen.note("ok" if text.rstrip().endswith("[DONE]") else "cut", text[-300:])
    return wait_s

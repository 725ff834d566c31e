"""What the policies are compared by: requests that arrive by chance, and seconds until each has its first token.

Runs by itself too, on a machine of a test: a JSON object on stdin, one on stdout; see `main`.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import openai

REASONS = {"seconds": "least_cost", "round-robin": "round_robin", "least-requests": "least_requests"}


@dataclass(frozen=True)
class Load:
    """What clients ask for. Words are of four characters."""

    per_s: float
    short: tuple[int, int]  # words of a prompt
    long: tuple[int, int]  # of three in ten
    answer: tuple[int, int]  # tokens
    requests: int = 90
    warm: int = 30  # before these, for calibration: they count for nobody
    silence_s: float = 30.0
    patience_s: float = 600.0  # then a client leaves, and has waited for so long: less than it would have

    def requests_of(self, seed: int) -> "list[Request]":
        chance, at_s, found = random.Random(seed), 0.0, []
        for number in range(self.warm + self.requests):
            at_s += chance.expovariate(self.per_s)
            words = chance.randint(*(self.long if chance.random() < 0.3 else self.short))
            said = " ".join(f"w{chance.randint(100, 999)}" for _ in range(words))
            found.append(Request(at_s, f"{number} {said}", chance.randint(*self.answer)))
        return found


@dataclass(frozen=True)
class Request:
    """What a client sends, and when."""

    at_s: float
    prompt: str
    answer_tokens: int


async def first_tokens(
    client: openai.AsyncOpenAI, model: str, mark: str, requests: Sequence[Request], patience_s: float
) -> list[float]:
    """Seconds until each came. With a mark of its own in each prompt, no run finds prompts of another in a cache."""
    start_s = monotonic()
    return await asyncio.gather(*(_first(client, model, mark, one, start_s, patience_s) for one in requests))


async def _first(
    client: openai.AsyncOpenAI, model: str, mark: str, request: Request, start_s: float, patience_s: float
) -> float:
    await asyncio.sleep(max(0.0, start_s + request.at_s - monotonic()))
    asked_s, first_s = monotonic(), None
    try:
        async with asyncio.timeout(patience_s) as patience:
            stream = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": f"{mark} {request.prompt}"}],
                max_tokens=request.answer_tokens,
                stream=True,
            )
            async for chunk in stream:
                if first_s is None and chunk.choices and chunk.choices[0].delta.content:
                    first_s = monotonic() - asked_s
                    patience.reschedule(None)
    except TimeoutError:
        return monotonic() - asked_s
    return monotonic() - asked_s if first_s is None else first_s  # a model may have nothing to say


async def main(asked: Mapping[str, str], load: Load, seed: int) -> dict[str, object]:
    """`asked` has endpoint, key, model and policy, which the gateway may be about to hear of."""
    async with openai.AsyncOpenAI(base_url=asked["endpoint"], api_key=asked["key"], max_retries=0) as client:
        await _until_policy(client, asked["model"], asked["policy"])
        requests, start_s = load.requests_of(seed), time.time()
        taken = await first_tokens(client, asked["model"], f"{asked['policy']} {seed}", requests, load.patience_s)
    return {"taken": taken[load.warm :], "counted_from_s": start_s + requests[load.warm].at_s}


async def _until_policy(client: openai.AsyncOpenAI, model: str, policy: str) -> None:
    async with asyncio.timeout(40):
        reason = ""
        while reason != REASONS[policy]:
            answer = await client.chat.completions.with_raw_response.create(
                model=model, messages=[{"role": "user", "content": "hello"}], max_tokens=1
            )
            reason = answer.headers["x-potluck-route-reason"]


if __name__ == "__main__":
    said = json.load(sys.stdin)
    print(json.dumps(asyncio.run(main(said["asked"], Load(**said["load"]), said["seed"]))))

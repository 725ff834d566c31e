"""A short profile of an engine that has just started: how fast it reads and writes, before anybody waits for it.

Its prompts are rows of numbers, each from another beginning: nothing of them is cached, and few models stop counting.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import httpx2
import msgspec
import structlog

from inventory.clock import Clock
from nodes.rates import Rates, Reading, Writing, rates_from
from nodes.snapshot import EngineEndpoint

LIMIT_S = 15.0  # of all of it: what was measured by then has to do
LONG_S, FIRST_LONG_S = 0.4, 1.5  # a prompt that took so long to read is long enough; the first, for want of another
LONG_TOKENS = 1024  # and so is one of this length
TOGETHER_UNTIL_S = 4.0  # an engine that took longer for the rest is not asked for several answers at once
FIRST_CHARACTERS, GROWTH = 32, 4
ANSWER_TOKENS = 8
TOGETHER = 4
FEWEST_TOKENS = 4  # of an answer that measures anything
FIRST_NUMBER, NUMBERS = 1000, 9000  # all have as many characters

log = structlog.get_logger("potluck.engines")


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Choice(msgspec.Struct):
    text: str = ""


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


@dataclass(frozen=True, slots=True)
class _Heard:
    """One answer; seconds since it was asked for."""

    prompt_tokens: int
    output_tokens: int
    first_s: float
    last_s: float

    @property
    def step_s(self) -> float:
        return (self.last_s - self.first_s) / (self.output_tokens - 1) if self.output_tokens >= FEWEST_TOKENS else 0.0


class EngineProfile:
    """One profile of one engine. `headers` carry its secret."""

    def __init__(
        self, endpoint: EngineEndpoint, headers: Mapping[str, str], served_name: str, context_tokens: int, clock: Clock
    ) -> None:
        self._base_url, self._headers = f"http://{endpoint.host}:{endpoint.port}", headers
        self._served_name, self._clock = served_name, clock
        self._most_characters = context_tokens - 2 * ANSWER_TOKENS  # a character may be a token
        self._turns = count()

    async def rates(self, slots: int) -> Rates | None:
        """Takes up to LIMIT_S. None where it did not answer as it should."""
        readings: list[Reading] = []
        writings: list[Writing] = []
        try:
            async with (
                asyncio.timeout(LIMIT_S),
                httpx2.AsyncClient(
                    base_url=self._base_url, headers=self._headers, timeout=None, trust_env=False
                ) as client,
            ):
                await self._measure(client, slots, readings, writings)
        except (TimeoutError, httpx2.HTTPError, msgspec.MsgspecError) as error:
            log.warning("engine_profile_cut_short", model=self._served_name, reason=f"{type(error).__name__}: {error}")
        return rates_from(readings, writings)

    def _client(self) -> httpx2.AsyncClient:
        fresh = httpx2.Limits(max_keepalive_connections=0)  # one that was kept may be closed as it is used again
        return httpx2.AsyncClient(
            base_url=self._base_url, headers=self._headers, timeout=None, limits=fresh, trust_env=False
        )

    async def _measure(
        self, client: httpx2.AsyncClient, slots: int, readings: list[Reading], writings: list[Writing]
    ) -> None:
        started_s, characters = self._clock.monotonic_s(), FIRST_CHARACTERS
        await self._ask(client, characters, answer_tokens=1)  # whatever is compiled or set aside once
        while True:
            heard = await self._ask(client, characters)
            readings.append(Reading(heard.prompt_tokens, heard.first_s))
            writings.append(Writing(1, heard.prompt_tokens + heard.output_tokens / 2, heard.step_s))
            long_s = LONG_S if len(readings) > 1 else FIRST_LONG_S
            if heard.first_s > long_s or heard.prompt_tokens >= LONG_TOKENS or characters >= self._most_characters:
                break
            characters *= GROWTH
        together = min(slots, TOGETHER)
        if together > 1 and self._clock.monotonic_s() < started_s + TOGETHER_UNTIL_S:
            answers = await asyncio.gather(*(self._ask(client, FIRST_CHARACTERS) for _ in range(together)))
            last = max(answers, key=lambda one: one.first_s)  # from its first token on all of them write
            held = sum(one.prompt_tokens + one.output_tokens / 2 for one in answers)
            writings.append(Writing(together, held, last.step_s))

    async def _ask(self, client: httpx2.AsyncClient, characters: int, answer_tokens: int = ANSWER_TOKENS) -> _Heard:
        """Once more where it hung up without a word, as llama.cpp does now and then. Raises httpx2.HTTPError,
        msgspec.MsgspecError."""
        try:
            return await self._ask_once(client, characters, answer_tokens)
        except httpx2.RemoteProtocolError:
            return await self._ask_once(client, characters, answer_tokens)

    async def _ask_once(self, client: httpx2.AsyncClient, characters: int, answer_tokens: int) -> _Heard:
        asked = {
            "model": self._served_name,
            "prompt": self._prompt(characters),
            "max_tokens": answer_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        started_s, usage, moments = self._clock.monotonic_s(), _Usage(), [0.0]
        async with client.stream("POST", "/v1/completions", json=asked) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if not line.startswith("data:") or line.endswith("[DONE]"):
                    continue
                event = msgspec.json.decode(line[5:], type=_Event)
                usage = event.usage or usage
                if any(choice.text for choice in event.choices):
                    moments.append(self._clock.monotonic_s() - started_s)
        first_s = moments[1] if len(moments) > 1 else 0.0
        return _Heard(usage.prompt_tokens, usage.completion_tokens, first_s, moments[-1])

    def _prompt(self, characters: int) -> str:
        most = max(min(characters, self._most_characters), 1)
        start = next(self._turns) * 700
        numbers = (str(FIRST_NUMBER + (start + step) % NUMBERS) for step in range(most // 5 + 1))
        return " ".join(numbers)[:most]

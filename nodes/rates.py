"""How fast an engine reads prompts and writes answers, and how that follows from a few measurements.

A decode step costs the same for everyone in it: `step_s + requests * step_per_request_s + tokens * step_per_token_s`.
A prompt token costs more the further back it looks: twice as much as the first one at `doubling_tokens`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

FAR_TOKENS = 512  # between two measurements from which it shows what a token far behind costs
USUAL_DOUBLING_TOKENS = 20_000.0  # where they are nearer
LEAST_DOUBLING_TOKENS, MOST_DOUBLING_TOKENS = 500.0, 1e6
LEAST_OF_STEP = 0.1  # of a step that was measured is for itself: n requests together never cost more than one by one


class Rates(msgspec.Struct, frozen=True):
    """Of one engine with one model, alone on its machine."""

    prefill: float  # prompt tokens a second, at the beginning of a prompt
    doubling_tokens: float
    step_s: float
    step_per_request_s: float
    step_per_token_s: float
    chunk_tokens: int = 2048  # of a prompt that go into one step beside the requests that decode

    def read_s(self, first: int, last: int) -> float:
        """To read the prompt tokens from one position to another, with the machine for itself."""
        return (last - first) * (1.0 + (first + last) / (2.0 * self.doubling_tokens)) / self.prefill

    def prompt_s(self, cached: int, tokens: int) -> float:
        """Until the first token of a prompt, of which so much is cached. A pass through all weights is the least."""
        read_s = (tokens - cached) * (1.0 + (cached + tokens) / (2.0 * self.doubling_tokens)) / self.prefill
        return read_s if read_s > self.step_s else self.step_s

    def decode_step_s(self, requests: float, tokens: float) -> float:
        return self.step_s + requests * self.step_per_request_s + tokens * self.step_per_token_s


class Reading(NamedTuple):
    """A prompt of which nothing was cached, from its sending to the first token."""

    tokens: int
    seconds: float


class Writing(NamedTuple):
    """Decode steps of so many requests together, which held so many tokens together."""

    requests: int
    tokens: float
    step_s: float


def rates_from(readings: Sequence[Reading], writings: Sequence[Writing]) -> Rates | None:
    """From one prompt or a short and a long one, and from one answer, one after the long prompt, several at once, as
    far as there are. None where nothing was read or nothing written."""
    read = sorted(reading for reading in readings if reading.tokens > 0 and reading.seconds > 0)
    alone = sorted((one.tokens, one.step_s) for one in writings if one.requests == 1 and one.step_s > 0)
    if not read or not alone:
        return None
    prefill, doubling_tokens = _reading_rates(read[0], read[-1])
    (near, step_s), (far, far_step_s) = alone[0], alone[-1]
    per_token_s = max((far_step_s - step_s) / (far - near), 0.0) if far - near >= FAR_TOKENS else 0.0
    per_request_s = 0.0
    for several in writings:
        if several.requests > 1:
            more_s = several.step_s - step_s - (several.tokens - near) * per_token_s
            per_request_s = min(max(more_s / (several.requests - 1), 0.0), (1.0 - LEAST_OF_STEP) * step_s)
    left_s = max(step_s - per_request_s - near * per_token_s, LEAST_OF_STEP * step_s)
    return Rates(prefill, doubling_tokens, left_s, per_request_s, per_token_s)


def _reading_rates(short: Reading, long: Reading) -> tuple[float, float]:
    """Tokens a second at the beginning, and where a token costs twice as much: a line through seconds per token."""
    each_s, long_each_s = short.seconds / short.tokens, long.seconds / long.tokens
    doubling_tokens = USUAL_DOUBLING_TOKENS
    if long.tokens - short.tokens >= FAR_TOKENS:
        slope_s = (long_each_s - each_s) / (long.tokens - short.tokens)
        first_s = each_s - slope_s * short.tokens
        # A long prompt may be the cheaper one by the token: what a request costs at all weighs more than looking back.
        doubling_tokens = first_s / (2.0 * slope_s) if slope_s > 0 else MOST_DOUBLING_TOKENS
    bounded = min(max(doubling_tokens, LEAST_DOUBLING_TOKENS), MOST_DOUBLING_TOKENS)
    return (1.0 + long.tokens / (2.0 * bounded)) / long_each_s, bounded
